//! `GET /v1/admin/export/{context}`: events as JSON lines, byte for byte as they stand.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderValue, header},
    response::Response,
};
use bytes::{Bytes, BytesMut};
use foldline_event_log::{EventLog, FollowError, Follower, From};
use foldline_http::{Problem, problem};
use foldline_kernel::{Context, Lane, Position, Sequence, Topology};
use futures::stream;
use serde::Deserialize;

use super::Admin;

/// How many events are read at a time.
const READ_EVENTS: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    /// Partition and sequence to begin at: `3@1042`, or a position as answers give it,
    /// `orders/3@1042`.
    from: Option<String>,
}

/// Streams what the log holds now, partition by partition, each in position order.
pub(crate) async fn export(
    State(admin): State<Arc<Admin>>,
    Path(context): Path<String>,
    parameters: Result<Query<Parameters>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let log = admin.log()?.events.clone();
    let topology = log.topology();
    let context = known_context(topology, &context)?;
    let Query(parameters) = parameters.map_err(|error| {
        Problem::new(problem::UNKNOWN_PARAMETER, error).with("known", vec!["from"])
    })?;
    let starts = match parameters.from {
        Some(from) => vec![start(topology, &context, &from)?],
        None => topology
            .all_lanes()
            .map(|lane| (lane, Sequence(1)))
            .collect(),
    };
    let export = Export {
        log,
        context,
        starts: starts.into_iter(),
        reading: None,
    };
    let lines = stream::try_unfold(export, |mut export| async move {
        match export.next_lines().await {
            Ok(Some(lines)) => Ok(Some((lines, export))),
            Ok(None) => Ok(None),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "an export broke off"
                );
                Err(error)
            }
        }
    });
    let mut response = Response::new(Body::from_stream(lines));
    let json_lines = HeaderValue::from_static("application/x-ndjson");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, json_lines);
    Ok(response)
}

fn known_context(topology: &Topology, context: &str) -> Result<Context, Problem> {
    let known = || {
        topology
            .contexts
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let found = topology
        .contexts
        .iter()
        .find(|known| known.as_str() == context)
        .cloned();
    found.ok_or_else(|| {
        let detail = format!(
            "there is no context `{context}`; there are {}",
            known().join(", ")
        );
        Problem::new(problem::UNKNOWN_CONTEXT, detail).with("known", known())
    })
}

fn start(topology: &Topology, context: &Context, text: &str) -> Result<(Lane, Sequence), Problem> {
    let position = match text.contains('/') {
        true => text.parse::<Position>(),
        false => format!("{context}/{text}").parse(),
    };
    let position = position.ok().filter(|position| {
        // A position of another context says nothing about this one's sequences.
        position.context == *context && position.partition.0 < topology.lanes
    });
    let start = position.map(|position| (position.partition, position.sequence));
    start.ok_or_else(|| {
        let detail = format!(
            "`{text}` is no place to begin at: one is written `3@1042` or `{context}/3@1042` (a \
             partition below {}, and a sequence)",
            topology.lanes
        );
        Problem::new(problem::MALFORMED_PARAMETER, detail).with("parameter", "from")
    })
}

struct Export {
    log: Arc<dyn EventLog>,
    context: Context,
    starts: std::vec::IntoIter<(Lane, Sequence)>,
    reading: Option<Reading>,
}

struct Reading {
    follower: Box<dyn Follower>,
    /// The last event to print: the end of the partition when reading it began.
    end: Sequence,
    at: Sequence,
}

impl Export {
    async fn next_lines(&mut self) -> Result<Option<Bytes>, FollowError> {
        loop {
            let Some(reading) = &mut self.reading else {
                if !self.next_partition().await? {
                    return Ok(None);
                }
                continue;
            };
            if reading.at >= reading.end {
                self.reading = None;
                continue;
            }
            let events = reading.follower.next_batch(READ_EVENTS).await?;
            let mut lines = BytesMut::new();
            for event in events
                .iter()
                .take_while(|event| event.sequence <= reading.end)
            {
                lines.extend_from_slice(&event.record);
                lines.extend_from_slice(b"\n");
            }
            reading.at = events.last().map_or(reading.end, |event| event.sequence);
            return Ok(Some(lines.freeze()));
        }
    }

    async fn next_partition(&mut self) -> Result<bool, FollowError> {
        let Some((lane, from)) = self.starts.next() else {
            return Ok(false);
        };
        let log = &self.log;
        let index = log.topology().index_of(&self.context);
        let heads = log.heads(lane).await?;
        let end = index
            .and_then(|index| heads.sequences.get(index).copied())
            .unwrap_or_default();
        let before = Sequence(from.0.max(1) - 1);
        if before < end {
            let from = From::Sequence(before.next());
            let follower = log.follow(&self.context, lane, from).await?;
            self.reading = Some(Reading {
                follower,
                end,
                at: before,
            });
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use foldline_kernel::LogId;

    use super::*;

    fn context(name: &str) -> Context {
        name.parse().unwrap()
    }

    #[test]
    fn an_export_begins_at_a_position_as_answers_give_it() {
        let log_id: LogId = "0115e600-0000-4000-8000-000000000001".parse().unwrap();
        let contexts = vec![context("orders"), context("catalog")];
        let topology = Topology::new(log_id, context("shop"), 4, contexts).unwrap();
        let from = |text| start(&topology, &context("orders"), text);
        for text in ["3@1042", "orders/3@1042"] {
            assert_eq!(from(text).unwrap(), (Lane(3), Sequence(1042)), "{text}");
        }
        let elsewhere = ["catalog/3@1042", "orders/4@1", "4@1"];
        let malformed = ["", "3", "/3@1", "orders/orders/3@1", "+3@1", "3@+1"];
        for text in elsewhere.into_iter().chain(malformed) {
            let problem = from(text).unwrap_err();
            assert_eq!(problem.code(), "malformed-parameter", "{text}");
        }
    }
}
