//! What is to become of the generations of a read model, decided from the registry alone.

use foldline_kernel::LogId;
use foldline_read_model::Revision;
use foldline_tables::{Generation, GenerationNumber, GenerationState};

/// What a supervisor does next.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Generations that nobody wants any more.
    pub(crate) retire: Vec<GenerationNumber>,
    /// What is built beside the serving generation.
    pub(crate) build: Build,
}

/// What is to be built.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Build {
    /// Nothing: what serves is what the file says, or somebody went back on purpose.
    #[default]
    Nothing,
    /// A generation that was begun already.
    Resume(GenerationNumber),
    /// A new one.
    New,
}

/// Decides from the generations in the registry (oldest first) and the current definition.
///
/// Of several that are being built by the current definition the oldest is kept: two processes
/// that start at once agree on it.
pub(crate) fn plan(listed: &[Generation], current: &Revision, log: LogId) -> Plan {
    let mut plan = Plan::default();
    let building = listed
        .iter()
        .filter(|generation| generation.state == GenerationState::Building);
    for generation in building {
        let wanted = generation.revision == *current && generation.log_id == log;
        if wanted && plan.build == Build::Nothing {
            plan.build = Build::Resume(generation.number);
        } else {
            plan.retire.push(generation.number);
        }
    }
    let serving = listed
        .iter()
        .find(|generation| generation.state == GenerationState::Serving);
    let serves = serving.is_some_and(|serving| {
        serving.log_id == log
            && (serving.revision == *current || went_back(listed, serving, current))
    });
    if !serves && plan.build == Build::Nothing {
        plan.build = Build::New;
    }
    plan
}

/// Tells whether a newer generation of the current definition served and was left for this one:
/// a rollback, which must not be undone by building the same again.
fn went_back(listed: &[Generation], serving: &Generation, current: &Revision) -> bool {
    listed.iter().any(|generation| {
        generation.state == GenerationState::Previous
            && generation.number > serving.number
            && generation.revision == *current
    })
}

#[cfg(test)]
mod tests {
    use foldline_tables::GenerationState::{Building, Previous, Serving};

    use super::*;

    const LOG: LogId = LogId(uuid::Uuid::nil());

    fn listed(generations: &[(u32, &str, GenerationState)]) -> Vec<Generation> {
        let generation = |(number, revision, state): &(u32, &str, GenerationState)| Generation {
            model: "order".into(),
            number: GenerationNumber(*number),
            revision: Revision((*revision).into()),
            definition: String::new(),
            log_id: LOG,
            state: *state,
        };
        generations.iter().map(generation).collect()
    }

    fn planned(generations: &[(u32, &str, GenerationState)]) -> Plan {
        plan(&listed(generations), &Revision("b".into()), LOG)
    }

    fn building(build: Build) -> Plan {
        let retire = Vec::new();
        Plan { retire, build }
    }

    #[test]
    fn the_first_generation_and_a_new_revision_are_built() {
        assert_eq!(planned(&[]), building(Build::New));
        assert_eq!(planned(&[(1, "a", Serving)]), building(Build::New));
        assert_eq!(planned(&[(1, "b", Serving)]), building(Build::Nothing));
    }

    #[test]
    fn what_was_begun_is_resumed_and_what_nobody_wants_is_retired() {
        let resumed = Build::Resume(GenerationNumber(3));
        let generations = [(1, "a", Serving), (2, "a", Building), (3, "b", Building)];
        let retire = vec![GenerationNumber(2)];
        let build = resumed;
        assert_eq!(planned(&generations), Plan { retire, build });
    }

    #[test]
    fn of_two_that_were_begun_at_once_the_older_is_kept() {
        let build = Build::Resume(GenerationNumber(1));
        let retire = vec![GenerationNumber(2)];
        let generations = [(1, "b", Building), (2, "b", Building)];
        assert_eq!(planned(&generations), Plan { retire, build });
    }

    #[test]
    fn a_rollback_is_not_undone() {
        let back = [(1, "a", Serving), (2, "b", Previous)];
        assert_eq!(planned(&back), building(Build::Nothing));
        // … but a file that has become what it was before is a new revision.
        let changed_back = [(1, "b", Previous), (2, "a", Serving)];
        assert_eq!(planned(&changed_back), building(Build::New));
    }

    #[test]
    fn a_generation_of_another_log_does_not_serve() {
        let other = LogId(uuid::Uuid::max());
        let plan = plan(&listed(&[(1, "b", Serving)]), &Revision("b".into()), other);
        assert_eq!(plan, building(Build::New));
    }
}
