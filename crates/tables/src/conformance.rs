//! One suite for every store: what the port promises, as cases.
//!
//! An adapter runs it with [`tables_conformance!`](crate::tables_conformance!), which makes a test
//! of each case. Every case uses read models of its own, so all of them can share one store.

mod fencing;
mod generations;
mod kit;
pub mod models;
mod paging;
mod rows;
mod search;
mod snapshots;

use std::sync::Arc;

pub use fencing::{
    a_batch_is_all_or_nothing, a_duplicate_has_no_effect, a_held_generation_stands_still,
    a_replaced_writer_is_fenced, any_batching_by_any_writer_gives_the_same_rows,
    parked_users_stay_parked, sets_sums_and_deletes_mix,
};
pub use generations::{
    a_generation_keeps_what_it_was_made_of, a_retired_generation_is_gone_for_all,
    a_switch_that_was_overtaken_changes_nothing, numbers_are_never_given_twice,
    of_two_switches_at_once_one_is_overtaken, switching_is_seen_whole,
    the_serving_one_is_not_retired,
};
pub use paging::{
    derived_values_sort_as_numbers_with_null_first, every_order_is_total_and_pages_lose_nothing,
    lists_page_along_their_key, null_sorts_below_everything,
};
pub use rows::{
    a_deleted_row_starts_afresh, an_overflow_leaves_nothing, every_type_comes_back_as_it_went,
    large_batches_are_written_whole,
};
pub use search::{conditions_hold_together, rows_that_do_not_show, words_are_found_whole};
pub use snapshots::{a_snapshot_stands_still, a_snapshot_yields_every_row_by_key};

use crate::Tables;

/// One store, opened twice, as two processes would.
#[derive(Clone)]
pub struct Stores {
    /// The one handle.
    pub first: Arc<dyn Tables>,
    /// The other.
    pub second: Arc<dyn Tables>,
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stores")
    }
}

/// Makes a test of every case. The argument is an async function that returns [`Stores`] and what
/// has to live as long as they do.
#[macro_export]
macro_rules! tables_conformance {
    ($open:path) => {
        $crate::tables_conformance! { $open:
            a_batch_is_all_or_nothing,
            a_duplicate_has_no_effect,
            a_held_generation_stands_still,
            a_replaced_writer_is_fenced,
            any_batching_by_any_writer_gives_the_same_rows,
            parked_users_stay_parked,
            sets_sums_and_deletes_mix,
            a_generation_keeps_what_it_was_made_of,
            a_retired_generation_is_gone_for_all,
            a_switch_that_was_overtaken_changes_nothing,
            numbers_are_never_given_twice,
            of_two_switches_at_once_one_is_overtaken,
            switching_is_seen_whole,
            the_serving_one_is_not_retired,
            derived_values_sort_as_numbers_with_null_first,
            every_order_is_total_and_pages_lose_nothing,
            lists_page_along_their_key,
            null_sorts_below_everything,
            a_deleted_row_starts_afresh,
            an_overflow_leaves_nothing,
            every_type_comes_back_as_it_went,
            large_batches_are_written_whole,
            conditions_hold_together,
            rows_that_do_not_show,
            words_are_found_whole,
            a_snapshot_stands_still,
            a_snapshot_yields_every_row_by_key,
        }
    };
    ($open:path: $($case:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $case() {
                let (stores, _alive) = $open().await;
                $crate::conformance::$case(&stores).await;
            }
        )+
    };
}
