//! Where a test can skip, double or swap an event between the projector's checks of its input
//! and its fold, to see that `verify` finds it.
//!
//! The fail points are `projector::skip`, `projector::double` and `projector::swap`. As
//! `1*return` each does it once, to the first event that comes (or the first two that come
//! together); as `1*return(orders/3@12)` to the event at that position (and the one after it).

use std::{borrow::Cow, sync::Arc};

use foldline_kernel::Lane;
use foldline_schema::Event;

/// Returns the events that are folded in place of those that came.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn with(_: Lane, events: &[Arc<Event>]) -> Cow<'_, [Arc<Event>]> {
    Cow::Borrowed(events)
}

/// Returns the events that are folded in place of those that came.
#[cfg(feature = "failpoints")]
pub(crate) fn with(lane: Lane, events: &[Arc<Event>]) -> Cow<'_, [Arc<Event>]> {
    let mut events = Cow::Borrowed(events);
    if let Some(at) = chosen("projector::skip", lane, &events, 1) {
        events.to_mut().remove(at);
    }
    if let Some(at) = chosen("projector::double", lane, &events, 1) {
        let twin = Arc::clone(&events[at]);
        events.to_mut().insert(at, twin);
    }
    if let Some(at) = chosen("projector::swap", lane, &events, 2) {
        events.to_mut().swap(at, at + 1);
    }
    events
}

/// Asks a fail point for an event that has `count - 1` more behind it.
///
/// A count such as `1*` is used up when the point is asked, so a position is asked for with
/// `return` alone and holds as long as the point is set.
#[cfg(feature = "failpoints")]
fn chosen(point: &str, lane: Lane, events: &[Arc<Event>], count: usize) -> Option<usize> {
    if events.len() < count {
        return None;
    }
    let place: Option<String> = fail::eval(point, |place| place)?;
    let at = match place {
        None => 0,
        Some(place) => {
            let place: foldline_kernel::Position = place.parse().ok()?;
            events.iter().position(|event| {
                place.partition == lane
                    && place.context == event.context
                    && place.sequence == event.sequence
            })?
        }
    };
    (at + count <= events.len()).then_some(at)
}
