//! `/v1/admin/views`: what the read models are doing, and what they can be told to do.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{HeaderValue, header},
    response::Response,
};
use bytes::Bytes;
use foldline_http::{Problem, problem};
use foldline_projector::{
    Projectors, ReplaceError, ReplayError, ReplayPhase, ReplayProgress, RetireError, RollbackError,
    Verification, VerifyError, VerifyOptions,
};
use foldline_tables::GenerationNumber;
use futures::stream;
use serde_json::{Value, json};

use super::Admin;
use crate::log::Log;

/// When to try again what the stores could not do.
const RETRY_AFTER_SECONDS: u32 = 1;

impl Admin {
    fn views(&self) -> Result<&Projectors, Problem> {
        self.parts.projectors.as_deref().ok_or_else(|| {
            Problem::new(
                problem::UNAVAILABLE,
                "this node's role keeps no read models up; ask a `dev` or `projector` node",
            )
        })
    }

    pub(super) fn log(&self) -> Result<&Log, Problem> {
        self.parts.log.as_ref().ok_or_else(|| {
            Problem::new(
                problem::UNAVAILABLE,
                "this node's role cannot reach the log; ask a `dev`, `command` or `projector` node",
            )
        })
    }
}

pub(crate) async fn views(State(admin): State<Arc<Admin>>) -> Result<Json<Value>, Problem> {
    Ok(Json(json!({ "views": admin.views()?.views().await })))
}

/// Rebuilds a read model by its file as it stands now; streams progress as JSON lines.
pub(crate) async fn replay(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let projectors = admin.views()?;
    let models = admin.definitions.load().map_err(|errors| {
        let lines: Vec<_> = errors.0.iter().map(ToString::to_string).collect();
        let detail = format!("the read models' files have {} errors", lines.len());
        Problem::new(problem::INVALID_DEFINITION, detail).with("errors", lines)
    })?;
    if let Some(model) = models.into_iter().find(|model| *model.name == *name) {
        projectors
            .replace_model(model.clone())
            .await
            .map_err(|error| replaced(&error))?;
        // Its queries may have changed and nothing else: then they are answered from now on.
        if let Some(queries) = &admin.parts.queries {
            queries
                .replace_model(model)
                .map_err(|error| Problem::new(problem::UNKNOWN_VIEW, error))?;
        }
    }
    let progress = projectors
        .replay(&name)
        .await
        .map_err(|error| replayed(&error))?;
    let begun = std::time::Instant::now();
    Ok(json_lines(stream::unfold(
        progress,
        move |mut progress| async move {
            let report = progress.recv().await?;
            Some((line(&replay_line(&report, begun.elapsed())), progress))
        },
    )))
}

fn replay_line(report: &ReplayProgress, took: std::time::Duration) -> Value {
    let mut line = json!(report);
    match report.phase {
        ReplayPhase::Switched => {
            line["events"] = report.events_done.into();
            line["seconds"] = took.as_secs_f64().into();
        }
        ReplayPhase::Failed => {
            let trouble = report
                .trouble
                .as_deref()
                .unwrap_or("the log of the node says why");
            line["detail"] = format!("the replay failed: {trouble}").into();
        }
        _ => {}
    }
    line
}

/// Verifies a read model; streams progress and then the report as JSON lines.
pub(crate) async fn verify(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let projectors = admin.views()?;
    let verification = projectors
        .verify(&name, VerifyOptions::default())
        .map_err(|error| verified(&error))?;
    Ok(json_lines(stream::unfold(Some(verification), verify_line)))
}

async fn verify_line(verification: Option<Verification>) -> Option<(Bytes, Option<Verification>)> {
    let mut verification = verification?;
    if let Some(progress) = verification.next().await {
        return Some((line(&json!(progress)), Some(verification)));
    }
    let last = match verification.report().await {
        Ok(report) => json!(report),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a verification failed"
            );
            json!({ "detail": with_source(&error) })
        }
    };
    Some((line(&last), None))
}

pub(crate) async fn rollback(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let generation = admin
        .views()?
        .rollback(&name)
        .await
        .map_err(|error| match error {
            RollbackError::UnknownModel(_) => Problem::new(problem::UNKNOWN_VIEW, error),
            RollbackError::NoPrevious(_) => Problem::new(problem::NO_GENERATION, error),
            RollbackError::Overtaken { .. } => Problem::new(problem::OVERTAKEN, error),
            RollbackError::Behind { events_behind, .. } => {
                Problem::new(problem::BEHIND, error).with("behind", events_behind)
            }
            RollbackError::Tables { .. } | RollbackError::Stopped => unavailable(&error),
        })?;
    Ok(Json(json!({ "model": name, "generation": generation })))
}

pub(crate) async fn retire(
    State(admin): State<Arc<Admin>>,
    Path((name, generation)): Path<(String, u32)>,
) -> Result<Json<Value>, Problem> {
    let number = GenerationNumber(generation);
    admin
        .views()?
        .retire(&name, number)
        .await
        .map_err(|error| match error {
            RetireError::UnknownModel(_) => Problem::new(problem::UNKNOWN_VIEW, error),
            RetireError::UnknownGeneration { .. } | RetireError::Serves { .. } => {
                Problem::new(problem::NO_GENERATION, error)
            }
            RetireError::Tables { .. } | RetireError::Stopped => unavailable(&error),
        })?;
    Ok(Json(json!({ "model": name, "retired": generation })))
}

fn replaced(error: &ReplaceError) -> Problem {
    match error {
        ReplaceError::UnknownModel(_) => Problem::new(problem::UNKNOWN_VIEW, error),
        ReplaceError::Stopped => unavailable(error),
    }
}

fn replayed(error: &ReplayError) -> Problem {
    match error {
        ReplayError::UnknownModel(_) => Problem::new(problem::UNKNOWN_VIEW, error),
        ReplayError::AlreadyRunning { .. } => Problem::new(problem::REPLAY_RUNNING, error),
        ReplayError::Tables { .. } | ReplayError::Stopped => unavailable(error),
    }
}

fn verified(error: &VerifyError) -> Problem {
    match error {
        VerifyError::UnknownModel(_) => Problem::new(problem::UNKNOWN_VIEW, error),
        VerifyError::NoGeneration(_) => Problem::new(problem::NO_GENERATION, error),
        VerifyError::AlreadyRunning(_) => Problem::new(problem::VERIFICATION_RUNNING, error),
        // Only a report tells of too many rows, in the last line of the answer.
        VerifyError::TooManyRows { .. }
        | VerifyError::Tables { .. }
        | VerifyError::Log { .. }
        | VerifyError::Broken { .. } => unavailable(error),
    }
}

fn unavailable(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::warn!(error, "an admin request failed");
    Problem::new(problem::UNAVAILABLE, with_source(error)).retry_after(RETRY_AFTER_SECONDS)
}

/// The error and everything that caused it, on one line.
fn with_source(error: &(dyn std::error::Error + 'static)) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    sources
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

fn line(value: &Value) -> Bytes {
    format!("{value}\n").into()
}

fn json_lines(lines: impl stream::Stream<Item = Bytes> + Send + 'static) -> Response {
    use futures::StreamExt;
    let lines = lines.map(Ok::<_, std::convert::Infallible>);
    let mut response = Response::new(Body::from_stream(lines));
    let content_type = HeaderValue::from_static("application/x-ndjson");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}
