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
    /// Another process has read another definition later, and what it makes of it stands.
    pub(crate) overruled: bool,
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

/// What this process goes by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Current<'a> {
    /// The rules of the definition as it was read last.
    pub(crate) revision: &'a Revision,
    /// The log that is followed.
    pub(crate) log: LogId,
    /// The newest generation that there was when the definition was read.
    pub(crate) read_at: GenerationNumber,
}

impl Current<'_> {
    /// Tells whether a generation is what this process would build.
    pub(crate) fn is_of(&self, generation: &Generation) -> bool {
        generation.revision == *self.revision && generation.log_id == self.log
    }

    /// Tells whether a generation was made by somebody who read another definition later. Two
    /// processes with different files would otherwise undo each other's work for ever.
    fn is_overruled_by(&self, generation: &Generation) -> bool {
        generation.number > self.read_at && !self.is_of(generation)
    }
}

/// Decides from the generations in the registry (oldest first) and the current definition.
///
/// Of several that are being built by the current definition the oldest is kept: two processes
/// that start at once agree on it.
pub(crate) fn plan(listed: &[Generation], current: Current<'_>) -> Plan {
    let mut plan = Plan {
        overruled: listed.iter().any(|listed| current.is_overruled_by(listed)),
        ..Plan::default()
    };
    for building in listed.iter().filter(|listed| is_building(listed)) {
        if current.is_of(building) && plan.build == Build::Nothing {
            plan.build = Build::Resume(building.number);
        } else if !current.is_overruled_by(building) {
            plan.retire.push(building.number);
        }
    }
    let serving = listed
        .iter()
        .find(|generation| generation.state == GenerationState::Serving);
    let serves = serving.is_some_and(|serving| {
        current.is_of(serving)
            || (serving.log_id == current.log && went_back(listed, serving, current.revision))
    });
    if !serves && !plan.overruled && plan.build == Build::Nothing {
        plan.build = Build::New;
    }
    plan
}

/// Returns the oldest generation that is being built by the current definition.
pub(crate) fn begun<'g>(listed: &'g [Generation], current: Current<'_>) -> Option<&'g Generation> {
    let mut listed = listed.iter();
    listed.find(|listed| is_building(listed) && current.is_of(listed))
}

fn is_building(generation: &Generation) -> bool {
    generation.state == GenerationState::Building
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

    /// What a process does that read the definition `b` when all of these were there.
    fn planned(generations: &[(u32, &str, GenerationState)]) -> Plan {
        planned_since(u32::MAX, generations)
    }

    fn planned_since(read_at: u32, generations: &[(u32, &str, GenerationState)]) -> Plan {
        let current = Current {
            revision: &Revision("b".into()),
            log: LOG,
            read_at: GenerationNumber(read_at),
        };
        plan(&listed(generations), current)
    }

    fn building(build: Build) -> Plan {
        Plan {
            build,
            ..Plan::default()
        }
    }

    fn retiring(retire: u32, build: Build) -> Plan {
        Plan {
            retire: vec![GenerationNumber(retire)],
            ..building(build)
        }
    }

    #[test]
    fn the_first_generation_and_a_new_revision_are_built() {
        assert_eq!(planned(&[]), building(Build::New));
        assert_eq!(planned(&[(1, "a", Serving)]), building(Build::New));
        assert_eq!(planned(&[(1, "b", Serving)]), building(Build::Nothing));
    }

    #[test]
    fn what_was_begun_is_resumed_and_what_nobody_wants_is_retired() {
        let generations = [(1, "a", Serving), (2, "a", Building), (3, "b", Building)];
        let resumed = Build::Resume(GenerationNumber(3));
        assert_eq!(planned(&generations), retiring(2, resumed));
    }

    #[test]
    fn of_two_that_were_begun_at_once_the_older_is_kept() {
        let generations = [(1, "b", Building), (2, "b", Building)];
        let resumed = Build::Resume(GenerationNumber(1));
        assert_eq!(planned(&generations), retiring(2, resumed));
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
    fn who_read_its_definition_later_has_its_way() {
        let overruled = |build| Plan {
            overruled: true,
            ..building(build)
        };
        // Another process builds by another definition, which serves some time later.
        let built = [(1, "b", Serving), (2, "c", Building)];
        assert_eq!(planned_since(1, &built), overruled(Build::Nothing));
        let serves = [(1, "b", Previous), (2, "c", Serving)];
        assert_eq!(planned_since(1, &serves), overruled(Build::Nothing));
        // What this process had begun is not lost, should the other one never come to its end.
        let both = [(1, "b", Building), (2, "c", Building)];
        let resumed = Build::Resume(GenerationNumber(1));
        assert_eq!(planned_since(0, &both), overruled(resumed));
        // Whoever reads its definition after that builds by it.
        assert_eq!(planned_since(2, &built), retiring(2, Build::Nothing));
        assert_eq!(planned_since(2, &serves), building(Build::New));
    }

    #[test]
    fn a_generation_of_another_log_does_not_serve() {
        let current = Current {
            revision: &Revision("b".into()),
            log: LogId(uuid::Uuid::max()),
            read_at: GenerationNumber(1),
        };
        let plan = plan(&listed(&[(1, "b", Serving)]), current);
        assert_eq!(plan, building(Build::New));
    }
}
