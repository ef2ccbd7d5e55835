//! Who may ask what, and about whom.

use foldline_kernel::{Caller, Right, UserId};
use foldline_read_model::{Access, Model, Query};

use crate::QueryError;

/// Whose rows an answer may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Anybody's.
    Everybody,
    /// Only this user's.
    Only(UserId),
}

/// Decides whether a caller may ask a query.
pub(crate) fn check(query: &Query, caller: &Caller) -> Result<Whose, QueryError> {
    match (&query.access, caller.user) {
        (Access::Public, _) => Ok(Whose::Everybody),
        _ if caller.may(Right::Staff) => Ok(Whose::Everybody),
        (Access::Owner, Some(user)) => Ok(Whose::Only(user)),
        (Access::Role(role), _) if caller.has_role(role) => Ok(Whose::Everybody),
        _ if caller.is_nobody() => Err(QueryError::Unauthenticated {
            query: query.name.to_string(),
        }),
        _ => Err(QueryError::NotAllowed {
            query: query.name.to_string(),
            of_another: false,
        }),
    }
}

/// Returns the name of the parameter that says whose rows are meant: owner queries take it whether
/// they declare it or not, since the user may be a hidden part of the key.
pub(crate) fn user_parameter<'m>(model: &'m Model, query: &Query) -> Option<(&'m str, usize)> {
    let column = model
        .user_column
        .filter(|_| query.access == Access::Owner)?;
    let known = &model.columns[column];
    Some((
        if known.is_hidden() {
            "user_id"
        } else {
            &known.name
        },
        column,
    ))
}
