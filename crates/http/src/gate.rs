//! Who is let in: who asks, whether that may be asked, and how often.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use foldline_kernel::{Caller, Right, UserId};

use crate::{
    Rates, Tokens,
    problem::{self, Problem},
};

/// What every request passes before anything of it is done.
#[derive(Debug, Default)]
pub struct Gate {
    /// None: every caller is staff.
    tokens: Option<Tokens>,
    rates: Option<Rates>,
}

impl Gate {
    /// Takes everybody for staff.
    pub fn open() -> Self {
        Self::default()
    }

    /// Takes callers for whom their tokens say.
    pub fn of_tokens(tokens: Tokens) -> Self {
        Self {
            tokens: Some(tokens),
            rates: None,
        }
    }

    /// Bounds the commands of each user.
    #[must_use]
    pub fn with_rates(mut self, rates: Rates) -> Self {
        self.rates = Some(rates);
        self
    }

    /// Tells who asks: nobody in particular where there is no token.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let Some(tokens) = &self.tokens else {
            return Ok(Caller::open());
        };
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = given.next() else {
            return Ok(Caller::default());
        };
        let text = value.to_str().ok().filter(|_| given.next().is_none());
        let (scheme, token) = text
            .and_then(|text| text.split_once(' '))
            .unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("bearer") {
            let detail = "the `authorization` header is not one `Bearer` token";
            return Err(unauthenticated(detail, Given::Unusable));
        }
        let caller = tokens.caller(token.trim());
        caller.map_err(|error| {
            unauthenticated(format!("the token is refused: {error}"), Given::Refused)
        })
    }

    /// Tells who sends a command of a user, if that caller may and does not do so too often.
    pub(crate) fn commander(&self, headers: &HeaderMap, user: UserId) -> Result<Caller, Problem> {
        let caller = self.caller(headers)?;
        if caller.user != Some(user) && !caller.may(Right::Staff) {
            if caller.is_nobody() {
                return Err(unauthenticated("a command takes a token", Given::Nothing));
            }
            let detail = format!("only the user {user} and staff may send commands of theirs");
            return Err(Problem::new(problem::NOT_ALLOWED, detail));
        }
        if let Some(Err(wait)) = self.rates.as_ref().map(|rates| rates.admit(user)) {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let detail = format!("the user {user} has sent more commands than are taken at a time");
            return Err(Problem::new(problem::TOO_MANY_REQUESTS, detail)
                .retry_after(u32::try_from(seconds).unwrap_or(u32::MAX).max(1)));
        }
        Ok(caller)
    }
}

/// Lets nobody but staff reach these routes.
pub fn for_staff(gate: &Arc<Gate>, routes: Router) -> Router {
    // On an open node everybody is.
    if gate.tokens.is_none() {
        return routes;
    }
    routes.route_layer(middleware::from_fn_with_state(Arc::clone(gate), staff_only))
}

async fn staff_only(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let refused = match gate.caller(request.headers()) {
        Ok(caller) if caller.may(Right::Staff) => return next.run(request).await,
        Ok(caller) if caller.is_nobody() => {
            unauthenticated("the route takes a token of staff", Given::Nothing)
        }
        Ok(_) => Problem::new(problem::NOT_ALLOWED, "the route is for staff"),
        Err(refused) => refused,
    };
    refused.into_response()
}

/// What a caller who is not known has shown.
#[derive(Clone, Copy)]
pub(crate) enum Given {
    Nothing,
    /// Something that is no token.
    Unusable,
    /// A token that is not believed.
    Refused,
}

/// A refusal of a caller who is not known, with what RFC 6750 wants to be said.
pub(crate) fn unauthenticated(detail: impl ToString, given: Given) -> Problem {
    let challenge = match given {
        Given::Nothing => "Bearer",
        Given::Unusable => r#"Bearer error="invalid_request""#,
        Given::Refused => r#"Bearer error="invalid_token""#,
    };
    Problem::new(problem::UNAUTHENTICATED, detail).with_header(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static(challenge),
    )
}
