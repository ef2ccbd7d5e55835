//! The answers held against the log.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Findings, event::Event, rules::State};
use crate::load::record::{Accepted, Moment, Outcome, Sent, What};

/// What one user has asked for, and what the log has of it in the order of the lane.
#[derive(Default)]
struct History<'a> {
    events: Vec<&'a Event>,
    sent: Vec<&'a Sent>,
}

/// An event of a user, with what is known of its command.
struct Step<'a> {
    event: &'a Event,
    /// When its command was first sent.
    asked: Moment,
    /// When somebody first knew that it had happened.
    known: Option<Moment>,
}

/// A refusal and the range of states that it may have been given in: between these many of the
/// user's events.
struct Refusal<'a> {
    sent: &'a Sent,
    code: &'a str,
    from: usize,
    to: usize,
}

/// Holds every answer against the events of the lanes.
pub fn check(lanes: &[Vec<&Event>], sent: &[Sent], findings: &mut Findings) {
    let mut users: HashMap<Uuid, History<'_>> = HashMap::new();
    for event in lanes.iter().flatten() {
        users.entry(event.user).or_default().events.push(event);
    }
    for sent in sent {
        users.entry(sent.user).or_default().sent.push(sent);
    }
    for history in users.values() {
        history.check(findings);
    }
}

impl<'a> History<'a> {
    fn check(&self, findings: &mut Findings) {
        let by_key: HashMap<&str, &Sent> =
            self.sent.iter().map(|sent| (&*sent.key, *sent)).collect();
        let mut steps = Vec::new();
        for event in &self.events {
            match by_key.get(&*event.key) {
                Some(sent) => steps.push(Step::of(event, sent)),
                None => findings.add("unasked", format!("{}: {}", event.position(), event.key)),
            }
        }
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (number, step) in steps.iter().enumerate() {
            places.entry(&step.event.key).or_default().push(number);
        }
        for sent in &self.sent {
            let own = places.get(&*sent.key).map_or(&[][..], Vec::as_slice);
            let own: Vec<&Event> = own.iter().map(|number| steps[*number].event).collect();
            outcomes(sent, &own, findings);
        }
        in_time(&steps, findings);
        let refusals = self.refusals(&steps, &places);
        decisions(&steps, refusals, findings);
    }

    fn refusals(&self, steps: &[Step<'a>], places: &HashMap<&str, Vec<usize>>) -> Vec<Refusal<'a>> {
        let mut refusals = Vec::new();
        for sent in &self.sent {
            // Once its own event is there, a command is answered by it and refused no more.
            let own = places.get(&*sent.key).and_then(|own| own.first().copied());
            for attempt in &sent.attempts {
                let Outcome::Refused(code) = &attempt.outcome else {
                    continue;
                };
                let is_before = |step: &Step| step.known.is_some_and(|known| known < attempt.sent);
                let from = steps.iter().rposition(is_before).map_or(0, |last| last + 1);
                let later = steps.iter().position(|step| step.asked > attempt.ended);
                let to = later.unwrap_or(steps.len()).min(own.unwrap_or(usize::MAX));
                refusals.push(Refusal {
                    sent,
                    code,
                    from,
                    to,
                });
            }
        }
        refusals
    }
}

impl<'a> Step<'a> {
    fn of(event: &'a Event, sent: &'a Sent) -> Self {
        let accepted = sent
            .attempts
            .iter()
            .filter(|attempt| matches!(attempt.outcome, Outcome::Accepted(_)));
        let asked = sent.attempts.iter().map(|attempt| attempt.sent).min();
        Self {
            event,
            asked: asked.unwrap_or(0),
            known: accepted.map(|attempt| attempt.ended).min(),
        }
    }
}

/// What was answered to one key, against its events.
fn outcomes(sent: &Sent, own: &[&Event], findings: &mut Findings) {
    let Sent {
        key,
        user,
        what,
        attempts,
    } = sent;
    let mut first: Option<&Accepted> = None;
    let (mut unknown, mut refused) = (false, false);
    for attempt in attempts {
        match &attempt.outcome {
            Outcome::Accepted(accepted) => {
                if first.is_some_and(|first| first != accepted) {
                    let text = format!("{key} of {user}: {first:?}, then {accepted:?}");
                    findings.add("answered-differently", text);
                }
                first = Some(accepted);
            }
            Outcome::Refused(code) => {
                refused = true;
                let known = [code == "idempotency-key-reused", code == "stale-version"];
                if known.contains(&true) {
                    findings.add("refused", format!("{key} of {user}, {what:?}: {code}"));
                }
            }
            Outcome::Unknown(_) => unknown = true,
            Outcome::Unchanged => {
                findings.add("refused", format!("{key} of {user}, {what:?}: unchanged"));
            }
            Outcome::Nothing(_) => {}
        }
    }
    match first {
        Some(accepted) => acknowledged(sent, accepted, own, findings),
        None if own.is_empty() || unknown => {}
        None => {
            let kind = if refused {
                "refused-yet-there"
            } else {
                "nothing-yet-there"
            };
            let position = own[0].position();
            findings.add(kind, format!("{key} of {user}: {position}, {attempts:?}"));
        }
    }
}

/// What was acknowledged is there, exactly as it was said.
fn acknowledged(sent: &Sent, accepted: &Accepted, own: &[&Event], findings: &mut Findings) {
    let Sent { key, user, .. } = sent;
    let ids: Vec<Uuid> = own.iter().map(|event| event.id).collect();
    let Some(last) = own.last() else {
        let text = format!("{key} of {user} at {}", accepted.position);
        return findings.add("lost", text);
    };
    if ids != accepted.events {
        let text = format!("{key} of {user}: events {:?}, log {ids:?}", accepted.events);
        findings.add("differs", text);
    }
    if last.stream_version != accepted.version || last.position() != accepted.position {
        let text = format!(
            "{key} of {user}: version {} at {}, log version {} at {}",
            accepted.version,
            accepted.position,
            last.stream_version,
            last.position()
        );
        findings.add("differs", text);
    }
}

/// What was known to have happened before a command was sent comes before it.
fn in_time(steps: &[Step<'_>], findings: &mut Findings) {
    let mut known_after = Moment::MAX;
    for step in steps.iter().rev() {
        if known_after < step.asked {
            let position = step.event.position();
            findings.add(
                "order",
                format!("{position} comes before what it was sent after"),
            );
        }
        known_after = known_after.min(step.known.unwrap_or(Moment::MAX));
    }
}

/// Lets the user's events happen one after another: each must have been allowed by the state it
/// found, and each refusal by one of the states that it may have been given in.
fn decisions(steps: &[Step<'_>], mut refusals: Vec<Refusal<'_>>, findings: &mut Findings) {
    let mut state = State::default();
    for number in 0..=steps.len() {
        refusals.retain(|refusal| {
            let in_range = (refusal.from..=refusal.to).contains(&number);
            !(in_range && explains(&state, refusal))
        });
        let Some(step) = steps.get(number) else {
            break;
        };
        if let Err(trouble) = state.apply(step.event) {
            let (position, kind) = (step.event.position(), &step.event.kind);
            findings.add("decided-wrongly", format!("{position}, {kind}: {trouble}"));
        }
    }
    for Refusal {
        sent,
        code,
        from,
        to,
    } in refusals
    {
        let (key, user, what) = (&sent.key, sent.user, sent.what);
        let text = format!(
            "{key} of {user}, {what:?}: {code}, between the user's events {from} and {to} of {}: {:?}",
            steps.len(),
            sent.attempts,
        );
        findings.add("refused-wrongly", text);
    }
}

fn explains(state: &State, refusal: &Refusal<'_>) -> bool {
    let what: What = refusal.sent.what;
    state.refusal(what) == Some(refusal.code)
}
