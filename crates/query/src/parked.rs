//! Users that a read model holds back, as far as they concern an answer.

use foldline_kernel::{Position, UserId};
use foldline_tables::{Absorbed, Parked};
use serde::Serialize;

/// Users that are held back and may be missing from an answer.
///
/// It names nobody: public answers carry it too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldBack {
    /// How many users.
    pub users: usize,
    /// The first event that could not be applied, for the first of them in each lane.
    pub since: Vec<Position>,
    /// Why, where the answer is about that one user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl HeldBack {
    /// Returns what concerns an answer about one user, or about all of them.
    pub(crate) fn of(absorbed: &Absorbed, user: Option<UserId>) -> Option<Self> {
        if let Some(user) = user {
            let parked = parked(absorbed, user)?;
            return Some(Self {
                users: 1,
                since: vec![parked.position.clone()],
                reason: Some(parked.reason.clone()),
            });
        }
        let mut firsts: Vec<&Parked> = Vec::new();
        for parked in &absorbed.parked {
            match firsts.iter_mut().find(|first| first.lane == parked.lane) {
                Some(first) if parked.lane_sequence < first.lane_sequence => *first = parked,
                Some(_) => {}
                None => firsts.push(parked),
            }
        }
        (!firsts.is_empty()).then(|| Self {
            users: absorbed.parked.len(),
            since: firsts.iter().map(|first| first.position.clone()).collect(),
            reason: None,
        })
    }

    /// Tells whether a position is known to be held back: it is the user's own, or the very event
    /// that somebody was parked for.
    pub(crate) fn at(
        absorbed: &Absorbed,
        user: Option<UserId>,
        asked: &[Position],
    ) -> Option<Self> {
        let held = |parked: &&Parked| {
            asked.iter().any(|asked| {
                let here = asked.partition == parked.lane;
                // Positions of two contexts do not compare; the user is held back in both.
                let later = asked.context != parked.position.context
                    || asked.sequence >= parked.position.sequence;
                let own = user == Some(parked.user) && here && later;
                own || *asked == parked.position
            })
        };
        let parked = absorbed.parked.iter().find(held)?;
        Some(Self {
            users: 1,
            since: vec![parked.position.clone()],
            reason: (user == Some(parked.user)).then(|| parked.reason.clone()),
        })
    }
}

fn parked(absorbed: &Absorbed, user: UserId) -> Option<&Parked> {
    absorbed.parked.iter().find(|parked| parked.user == user)
}
