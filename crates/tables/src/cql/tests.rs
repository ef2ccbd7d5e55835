//! The promises of the port, on a real cluster; and faults between any two writes.

mod ground;
mod property;

use std::sync::{Mutex, PoisonError};

use self::ground::stores;
use super::{
    session::{Store, Write},
    trouble::Fault,
};

// What a wide table has no order for, no words and no transactions is left out; that is told when
// a definition is loaded, or by the port.
crate::tables_conformance! { stores:
    a_batch_is_all_or_nothing,
    a_duplicate_has_no_effect,
    a_replaced_writer_is_fenced,
    any_batching_by_any_writer_gives_the_same_rows,
    parked_users_stay_parked,
    a_generation_keeps_what_it_was_made_of,
    a_retired_generation_is_gone_for_all,
    a_switch_that_was_overtaken_changes_nothing,
    numbers_are_never_given_twice,
    of_two_switches_at_once_one_is_overtaken,
    switching_is_seen_whole,
    the_serving_one_is_not_retired,
    lists_page_along_their_key,
    a_deleted_row_starts_afresh,
    an_overflow_leaves_nothing,
    every_type_comes_back_as_it_went,
    large_batches_are_written_whole,
    rows_that_do_not_show,
    a_snapshot_yields_every_row_by_key,
}

/// What goes wrong with the writes of one writer.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Plan>);

#[derive(Debug, Default)]
struct Plan {
    /// How many further writes are done; none: all of them.
    left: Option<usize>,
    /// Whether writes that are not done are on their way still.
    keeps: bool,
    /// Whether the writer looked at the checkpoints before somebody else moved them.
    stale: bool,
    late: Vec<Vec<Write>>,
}

impl Faults {
    /// A writer that dies after so many writes; what it had sent may arrive later.
    pub(crate) fn dying(left: usize, keeps: bool) -> Self {
        Self(Mutex::new(Plan {
            left: Some(left),
            keeps,
            ..Plan::default()
        }))
    }

    /// A writer that does not see that it has been replaced; after so many writes it stands
    /// still, and what it had sent arrives later.
    pub(crate) fn zombie(left: Option<usize>) -> Self {
        Self(Mutex::new(Plan {
            left,
            keeps: true,
            stale: true,
            ..Plan::default()
        }))
    }

    pub(crate) fn passes_stale(&self) -> bool {
        self.plan().stale
    }

    /// Takes what is on its way still.
    pub(crate) fn late(&self) -> Vec<Vec<Write>> {
        std::mem::take(&mut self.plan().late)
    }

    /// Does a write, or what is planned in its place.
    pub(crate) async fn meet(&self, store: &Store, writes: &[Write]) -> Result<(), Fault> {
        let lost = {
            let mut plan = self.plan();
            match &mut plan.left {
                None => false,
                Some(0) => {
                    // Rows are sent many at a time, so all of them may be on their way; the
                    // checkpoint is not sent before each of them was acknowledged.
                    let of_rows = writes.iter().all(|write| {
                        let text = write.statement.get_statement();
                        !text.contains("foldline_checkpoints")
                    });
                    if plan.keeps && of_rows {
                        plan.late.push(writes.to_vec());
                        return Ok(());
                    }
                    true
                }
                Some(left) => {
                    *left -= 1;
                    false
                }
            }
        };
        if lost {
            return Err(Fault::Unreached("an injected crash".into()));
        }
        store.write(writes).await
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
