//! Which lanes are this process's to follow, and who in it still works on which.
//!
//! ```text
//!   told      0 1 2 3 ───────── 0 1 ──────────────────── 0 1 5
//!   pipeline  0 1 2 3 ──────────┬ commits, lets go ─ 0 1 ┴ takes up 5
//!   told by   …                 └── waits ──┘            └ does not wait
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use foldline_kernel::Lane;
use tokio::sync::watch;

/// The lanes of this process, told from outside, and those that its projectors hold.
#[derive(Debug)]
pub(crate) struct Share {
    now: Mutex<Now>,
    moved: watch::Sender<()>,
    lanes: u16,
}

#[derive(Debug)]
struct Now {
    /// None: nobody has said yet.
    told: Option<BTreeSet<Lane>>,
    /// How many projectors hold each.
    held: BTreeMap<Lane, usize>,
}

impl Share {
    /// Begins with every lane of a log, or with none until it is told.
    pub(crate) fn new(lanes: u16, all: bool) -> Arc<Self> {
        Arc::new(Self {
            now: Mutex::new(Now {
                told: all.then(|| (0..lanes).map(Lane).collect()),
                held: BTreeMap::new(),
            }),
            moved: watch::channel(()).0,
            lanes,
        })
    }

    /// Returns the lanes of this process, if they are known.
    pub(crate) fn told(&self) -> Option<BTreeSet<Lane>> {
        self.now().told.clone()
    }

    /// Tells whether every lane is this process's.
    pub(crate) fn is_all(&self) -> bool {
        let now = self.now();
        let told = now.told.as_ref();
        told.is_some_and(|told| told.len() == usize::from(self.lanes))
    }

    /// Tells whether this is the process that decides for all of them: the one that has the first
    /// lane. Nothing rests on it but that not all try the same at once.
    pub(crate) fn leads(&self) -> bool {
        let now = self.now();
        now.told
            .as_ref()
            .is_some_and(|told| told.contains(&Lane(0)))
    }

    /// Sets the lanes of this process, and waits until no projector holds any other.
    pub(crate) async fn tell(&self, lanes: Option<BTreeSet<Lane>>) {
        let mut moved = self.moved.subscribe();
        self.now().told = lanes;
        self.moved.send_replace(());
        while self.now().holds_others() {
            if moved.changed().await.is_err() {
                return;
            }
        }
    }

    /// Begins to hold lanes: none yet.
    pub(crate) fn hold(self: &Arc<Self>) -> Holding {
        let mut moved = self.moved.subscribe();
        moved.mark_changed();
        Holding {
            share: Arc::clone(self),
            moved,
            held: BTreeSet::new(),
            leaving: BTreeSet::new(),
        }
    }

    /// No code under the lock can panic half way, so a poisoned lock still holds whole values.
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Now {
    fn holds_others(&self) -> bool {
        let told = |lane| self.told.as_ref().is_some_and(|told| told.contains(lane));
        !self.held.keys().all(told)
    }

    fn let_go(&mut self, lanes: &BTreeSet<Lane>) {
        for lane in lanes {
            if let Some(holders) = self.held.get_mut(lane) {
                *holders -= 1;
            }
        }
        self.held.retain(|_, holders| *holders > 0);
    }
}

/// What one projector holds; it lets go of all of it when it is dropped.
#[derive(Debug)]
pub(crate) struct Holding {
    share: Arc<Share>,
    moved: watch::Receiver<()>,
    held: BTreeSet<Lane>,
    /// Of those the ones that it is to let go of.
    leaving: BTreeSet<Lane>,
}

/// What is new for one projector.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// It holds these now.
    pub(crate) more: BTreeSet<Lane>,
    /// It is to let go of these.
    pub(crate) fewer: BTreeSet<Lane>,
}

impl Holding {
    /// Waits until there may be news.
    ///
    /// Cancel-safe: news that nobody has taken stay.
    pub(crate) async fn changed(&mut self) {
        let changed = self.moved.changed().await;
        changed.expect("the sender lives in `share`, beside this");
    }

    /// Takes the news. A lane that comes back while it is being let go of is let go of first.
    pub(crate) fn take_news(&mut self) -> News {
        self.moved.mark_unchanged();
        let mut now = self.share.now();
        let none = BTreeSet::new();
        let told = now.told.as_ref().unwrap_or(&none);
        let news = News {
            more: told.difference(&self.held).copied().collect(),
            fewer: &(&self.held - told) - &self.leaving,
        };
        for lane in &news.more {
            *now.held.entry(*lane).or_default() += 1;
        }
        drop(now);
        self.held.extend(&news.more);
        self.leaving.extend(&news.fewer);
        news
    }

    pub(crate) fn is_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Lets go of what it is to let go of, and returns that: nothing of it is written any more.
    pub(crate) fn let_go(&mut self) -> BTreeSet<Lane> {
        let leaving = std::mem::take(&mut self.leaving);
        self.held = &self.held - &leaving;
        self.share.now().let_go(&leaving);
        self.share.moved.send_replace(());
        leaving
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.share.now().let_go(&self.held);
        self.share.moved.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn lanes(lanes: &[u16]) -> BTreeSet<Lane> {
        lanes.iter().copied().map(Lane).collect()
    }

    fn news(more: &[u16], fewer: &[u16]) -> News {
        News {
            more: lanes(more),
            fewer: lanes(fewer),
        }
    }

    #[test]
    fn who_tells_waits_until_all_have_let_go_and_for_nothing_else() {
        let share = Share::new(4, false);
        assert_eq!((share.told(), share.leads()), (None, false));
        let told = |told: &[u16]| share.tell(Some(lanes(told))).now_or_never();
        assert_eq!(told(&[0, 1]), Some(()));
        let (mut one, mut other) = (share.hold(), share.hold());
        assert_eq!(one.take_news(), news(&[0, 1], &[]));
        assert_eq!(other.take_news(), news(&[0, 1], &[]));
        assert_eq!(told(&[1, 2]), None);
        assert_eq!(one.take_news(), news(&[2], &[0]));
        one.let_go();
        assert_eq!(told(&[1, 2]), None);
        drop(other);
        assert_eq!(told(&[1, 2]), Some(()));
        assert!(!share.leads() && !share.is_all());
    }

    #[test]
    fn a_lane_that_comes_back_is_let_go_of_first() {
        let share = Share::new(2, true);
        assert!(share.is_all() && share.leads());
        let mut holding = share.hold();
        holding.take_news();
        assert_eq!(share.tell(Some(lanes(&[0]))).now_or_never(), None);
        assert_eq!(holding.take_news(), news(&[], &[1]));
        assert_eq!(share.tell(Some(lanes(&[0, 1]))).now_or_never(), Some(()));
        assert_eq!(holding.take_news(), news(&[], &[]));
        holding.let_go();
        assert_eq!(holding.take_news(), news(&[1], &[]));
        assert_eq!(share.tell(None).now_or_never(), None);
        assert_eq!(holding.take_news(), news(&[], &[0, 1]));
    }
}
