//! The users of a lane that are in memory, and which of them have not been asked for lately.

use foldline_kernel::UserId;
use hashbrown::HashTable;
use rustc_hash::FxHasher;

use crate::user::User;

/// How many users one piece of memory holds: growing moves nobody.
const CHUNK_USERS: usize = 256;

/// Users in memory.
///
/// ```text
///   index   hash of the id ─▶ place
///   places  │ user 7 │ user 9 │ (free) │ user 3 │ …
///                        ▲ hand: looks at one after the other; who was not used since its last
///                                look may go (the clock algorithm)
/// ```
#[derive(Default)]
pub(crate) struct Users {
    index: HashTable<u32>,
    chunks: Vec<Vec<Option<Resident>>>,
    free: Vec<u32>,
    hand: u32,
    /// What all of them are counted as.
    bytes: usize,
    /// Whether some users are in the local store alone: one who is not here may have a state.
    partial: bool,
}

struct Resident {
    id: UserId,
    user: User,
    counted: u32,
    /// Whether it was used since the hand passed by.
    recent: bool,
}

impl Resident {
    /// Counts it anew, and returns by how much it has changed.
    fn recount(&mut self) -> isize {
        let (before, now) = (self.counted, count(&self.user));
        self.counted = now;
        now as isize - before as isize
    }
}

/// What becomes of a user that the hand is at.
pub(crate) enum Verdict {
    Stays,
    Goes,
    /// It has to go no further.
    Enough,
}

fn hash(id: UserId) -> u64 {
    use std::hash::Hasher;
    let (high, low) = id.0.as_u64_pair();
    let mut hasher = FxHasher::default();
    hasher.write_u64(high);
    hasher.write_u64(low);
    hasher.finish()
}

/// What a resident takes beside what its user holds: its place, its part of the index, and what
/// the allocator rounds up by.
const RESIDENT_BYTES: usize = size_of::<Option<Resident>>() + 16;

fn count(user: &User) -> u32 {
    let bytes = RESIDENT_BYTES + user.bytes();
    u32::try_from(bytes + bytes / 8).unwrap_or(u32::MAX)
}

impl Users {
    /// Returns what all of them take in memory, estimated.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Notes that a user who is not here may have a state in the local store.
    pub(crate) fn set_partial(&mut self) {
        self.partial = true;
    }

    /// Whether it is known what state a user has, or that it has none.
    pub(crate) fn is_known(&self, id: UserId) -> bool {
        !self.partial || self.place(id).is_some()
    }

    pub(crate) fn get(&self, id: UserId) -> Option<&User> {
        let place = self.place(id)?;
        self.at(place).map(|resident| &resident.user)
    }

    /// Does something to a user who is here without using it.
    pub(crate) fn amend<R>(&mut self, id: UserId, amend: impl FnOnce(&mut User) -> R) -> Option<R> {
        let place = self.place(id)?;
        let resident = self.at_mut(place).as_mut()?;
        let amended = amend(&mut resident.user);
        let change = resident.recount();
        self.bytes = self.bytes.wrapping_add_signed(change);
        Some(amended)
    }

    /// Changes a user, who is made where there is none yet.
    pub(crate) fn change<R>(&mut self, id: UserId, change: impl FnOnce(&mut User) -> R) -> R {
        let place = self
            .place(id)
            .unwrap_or_else(|| self.put(id, User::default()));
        let resident = self.at_mut(place).as_mut();
        let resident = resident.expect("the index names taken places");
        let changed = change(&mut resident.user);
        resident.recent = true;
        let change = resident.recount();
        self.bytes = self.bytes.wrapping_add_signed(change);
        changed
    }

    /// Puts a user here who came from elsewhere, unless it is here already: then that one is newer.
    pub(crate) fn arrive(&mut self, id: UserId, user: User) {
        if self.place(id).is_none() {
            self.put(id, user);
        }
    }

    /// Puts a user here in place of whatever was known of it.
    pub(crate) fn replace(&mut self, id: UserId, user: User) {
        self.remove(id);
        self.put(id, user);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (UserId, &User)> {
        let places = self.chunks.iter().flatten().flatten();
        places.map(|resident| (resident.id, &resident.user))
    }

    pub(crate) fn remove(&mut self, id: UserId) -> Option<User> {
        let Self { index, chunks, .. } = self;
        let is_it = |place: &u32| at(chunks, *place).is_some_and(|known| known.id == id);
        let (place, _) = index.find_entry(hash(id), is_it).ok()?.remove();
        let resident = self.at_mut(place).take()?;
        self.free.push(place);
        self.bytes -= resident.counted as usize;
        Some(resident.user)
    }

    /// Removes a user unless it was used since the hand passed by, or has to stay.
    pub(crate) fn remove_idle(&mut self, id: UserId, stays: impl FnOnce(&User) -> bool) {
        let place = self.place(id);
        let resident = place.and_then(|place| self.at(place));
        if resident.is_some_and(|resident| !resident.recent && !stays(&resident.user)) {
            self.remove(id);
        }
    }

    /// Moves the hand once around at most, over those who were not used since it passed by.
    pub(crate) fn sweep(&mut self, mut verdict: impl FnMut(UserId, &mut User, usize) -> Verdict) {
        let places = (self.chunks.len() * CHUNK_USERS) as u32;
        for _ in 0..places {
            let place = self.hand;
            let next = (place + 1) % places;
            let Some(resident) = self.at_mut(place) else {
                self.hand = next;
                continue;
            };
            if !std::mem::take(&mut resident.recent) {
                let (id, counted) = (resident.id, resident.counted as usize);
                match verdict(id, &mut resident.user, counted) {
                    // Writing it may have told its size anew.
                    Verdict::Stays => {
                        let change = resident.recount();
                        self.bytes = self.bytes.wrapping_add_signed(change);
                    }
                    Verdict::Goes => drop(self.remove(id)),
                    Verdict::Enough => return,
                }
            }
            self.hand = next;
        }
    }

    fn place(&self, id: UserId) -> Option<u32> {
        let is_it = |place: &u32| at(&self.chunks, *place).is_some_and(|known| known.id == id);
        self.index.find(hash(id), is_it).copied()
    }

    fn at(&self, place: u32) -> Option<&Resident> {
        at(&self.chunks, place)
    }

    fn at_mut(&mut self, place: u32) -> &mut Option<Resident> {
        let place = place as usize;
        &mut self.chunks[place / CHUNK_USERS][place % CHUNK_USERS]
    }

    /// Puts a user who is not here at a free place.
    fn put(&mut self, id: UserId, user: User) -> u32 {
        let place = self.free.pop().unwrap_or_else(|| self.grow());
        let counted = count(&user);
        *self.at_mut(place) = Some(Resident {
            id,
            user,
            counted,
            recent: true,
        });
        self.bytes += counted as usize;
        let Self { index, chunks, .. } = self;
        let rehash = |place: &u32| {
            let resident = at(chunks, *place).expect("the index names taken places");
            hash(resident.id)
        };
        index.insert_unique(hash(id), place, rehash);
        place
    }

    /// Makes room for more users, and returns the first of the new places.
    fn grow(&mut self) -> u32 {
        let first = u32::try_from(self.chunks.len() * CHUNK_USERS).expect("memory ends before");
        let mut chunk = Vec::new();
        chunk.resize_with(CHUNK_USERS, || None);
        self.chunks.push(chunk);
        // The lowest is taken first.
        self.free
            .extend((first + 1..first + CHUNK_USERS as u32).rev());
        first
    }
}

fn at(chunks: &[Vec<Option<Resident>>], place: u32) -> Option<&Resident> {
    let place = place as usize;
    chunks[place / CHUNK_USERS][place % CHUNK_USERS].as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn id(number: u128) -> UserId {
        UserId(Uuid::from_u128(number))
    }

    #[test]
    fn who_was_used_lately_goes_last() {
        let mut users = Users::default();
        for number in 0..1000 {
            users.arrive(id(number), User::default());
        }
        let all = users.bytes();
        // Once around takes the marks off.
        users.sweep(|_, _, _| panic!("all are recent"));
        users.change(id(7), |_| {});
        let mut gone = 0;
        users.sweep(|who, _, _| {
            assert_ne!(who, id(7));
            gone += 1;
            match gone {
                ..=900 => Verdict::Goes,
                _ => Verdict::Enough,
            }
        });
        assert!(users.get(id(7)).is_some());
        assert_eq!((users.iter().count(), users.bytes()), (100, all / 10));
        // The places are used again.
        for number in 1000..1900 {
            users.arrive(id(number), User::default());
        }
        assert_eq!((users.chunks.len(), users.bytes()), (4, all));
        assert_eq!(users.iter().count(), 1000);
    }
}
