//! Taking lanes up and letting them go while a pipeline runs; lanes that stay are not touched.

use std::collections::BTreeSet;

use foldline_kernel::Lane;
use foldline_tables::{Absorbed, GenerationState, TableError};
use tokio::time::Instant;

use super::{Hand, Pipeline};
use crate::{Doing, projector::End, share::News};

impl Pipeline<'_> {
    /// Begins to follow lanes after what has been absorbed of them, unless another projector is
    /// at work there.
    pub(super) fn take_up(&mut self, absorbed: &Absorbed, lanes: BTreeSet<Lane>) {
        for lane in lanes {
            if self.standing_by.is_on(lane) {
                continue;
            }
            let place = absorbed.lane(lane).map(|at| at.lane_sequence);
            self.seen.insert(lane, place.unwrap_or_default());
            self.readers.start(self.projector, lane, absorbed);
        }
        self.projector.live.follows_lanes(self.readers.lanes());
        self.say_what_it_does();
    }

    /// Takes over which lanes are this process's now.
    pub(super) fn take_news(&mut self) {
        let News { more, fewer } = self.holding.take_news();
        self.joining.extend(more);
        for lane in fewer {
            self.joining.remove(&lane);
            self.standing_by.forget(lane);
            self.readers.stop(lane);
            self.due = Instant::now();
        }
        self.say_what_it_does();
    }

    /// Follows the lanes that are new, once nothing is being written: the store says from where.
    pub(super) async fn join(&mut self) -> Result<(), End> {
        if self.joining.is_empty() {
            return Ok(());
        }
        let Hand::Free(writer) = &mut self.hand else {
            return Ok(());
        };
        let absorbed = writer.absorbed().await?;
        self.note(&absorbed);
        let lanes = std::mem::take(&mut self.joining);
        self.take_up(&absorbed, lanes);
        Ok(())
    }

    /// Lets go of the lanes that go to others, once what was read of them is committed.
    pub(super) fn let_go(&mut self) {
        let clean = self.assembly.is_empty() && matches!(self.hand, Hand::Free(_));
        if clean && self.holding.is_leaving() {
            self.projector.live.lets_go(&self.holding.let_go());
            // Some may have come back meanwhile.
            self.take_news();
        }
    }

    /// Tells whether somebody else is at work on this generation.
    pub(super) fn looks(&self) -> bool {
        !self.standing_by.is_empty() || !self.projector.shared.share.is_all()
    }

    /// Looks how far others have come, and takes up the lanes that they have left alone.
    pub(super) async fn look(&mut self) -> Result<(), End> {
        let settings = &self.projector.shared.settings;
        let pause = if self.standing_by.is_empty() {
            settings.others_every
        } else {
            settings.step_down
        };
        let looked = self
            .projector
            .live
            .read(self.projector.shared.tables.as_ref());
        let looked = looked.await;
        self.look_at = Instant::now() + pause;
        let absorbed = match looked {
            Ok(absorbed) => absorbed,
            Err(error @ TableError::NoGeneration { .. }) => return Err(error.into()),
            // Whoever writes is told by the commits.
            Err(_) if !self.readers.is_empty() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.note(&absorbed);
        self.joining.extend(self.standing_by.look(&absorbed));
        self.end_loading_when_near().await
    }

    /// Passes on what others have absorbed.
    fn note(&self, absorbed: &Absorbed) {
        let live = &self.projector.live;
        if live.others_absorbed(absorbed) && live.state() == GenerationState::Serving {
            (self.projector.shared.notice)(&self.projector.model.name);
        }
    }

    /// Says what this projector does, unless something is in its way.
    pub(super) fn say_what_it_does(&self) {
        let all_stand_by = self.readers.is_empty() && !self.standing_by.is_empty();
        let doing = match (all_stand_by, self.loading) {
            (true, _) => Doing::StandingBy,
            (false, true) => Doing::Loading,
            (false, false) => Doing::Following,
        };
        if self.projector.live.doing() != doing {
            self.projector.live.set_doing(doing);
        }
    }
}
