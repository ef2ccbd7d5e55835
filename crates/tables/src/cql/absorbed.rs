//! Checkpoints and parked users of a generation.

use foldline_kernel::{Checkpoint, Lane, LaneSequence, UserId};
use scylla::value::CqlValue;

use super::{
    number,
    session::{Cells, Sight, Store, Write, text},
    timestamp,
    trouble::{Fault, Subject},
};
use crate::{Absorbed, Parked, TableError};

/// Later than every checkpoint of a generation can be written, and not in the future.
const LAST_TIMESTAMP: i64 = 1 << 50;

/// Reads what a generation has absorbed.
///
/// # Errors
/// [`TableError::NoGeneration`] where it has been retired.
pub(crate) async fn read(
    store: &Store,
    subject: &Subject,
    sight: Sight,
) -> Result<Absorbed, TableError> {
    let doing = "read the checkpoints of";
    let of = [text(&subject.model), number(subject.number)];
    let checkpoints = format!(
        "SELECT checkpoint, retired FROM {} WHERE model = ? AND generation = ?",
        store.table("foldline_checkpoints")
    );
    let parked = format!(
        "SELECT user, lane_sequence, lane, position, reason FROM {} \
         WHERE model = ? AND generation = ?",
        store.table("foldline_parked")
    );
    let (checkpoints, parked) = futures::future::try_join(
        store.rows(&checkpoints, &of, sight),
        store.rows(&parked, &of, sight),
    )
    .await
    .map_err(|fault| subject.error(doing, fault))?;
    let mut absorbed = Absorbed::default();
    for row in checkpoints {
        match <[_; 2]>::try_from(row) {
            Ok([_, Some(CqlValue::Boolean(true))]) => return Err(subject.gone()),
            Ok([Some(CqlValue::Text(json)), _]) => {
                let read = serde_json::from_str(&json);
                let read = read.map_err(|error| broken(subject, error.to_string()))?;
                absorbed.checkpoints.push(read);
            }
            Ok([None, _]) => {}
            row => return Err(broken(subject, format!("{row:?} is no checkpoint"))),
        }
    }
    for row in parked {
        let shown = format!("{row:?} is no parked user");
        let read = held_back(row).ok_or_else(|| broken(subject, shown))?;
        // The first event that could not be applied stays the one that says why.
        if absorbed
            .parked
            .last()
            .is_none_or(|last: &Parked| last.user != read.user)
        {
            absorbed.parked.push(read);
        }
    }
    absorbed.checkpoints.sort_by_key(|read| read.lane);
    absorbed
        .parked
        .sort_by_key(|read| (read.lane, read.lane_sequence));
    Ok(absorbed)
}

fn broken(subject: &Subject, trouble: String) -> TableError {
    subject.error("read the checkpoints of", Fault::Broken(trouble))
}

fn held_back(row: Cells) -> Option<Parked> {
    let [user, lane_sequence, lane, position, reason] = <[_; 5]>::try_from(row).ok()?;
    let (Some(CqlValue::Blob(user)), Some(CqlValue::BigInt(lane_sequence))) = (user, lane_sequence)
    else {
        return None;
    };
    let (Some(CqlValue::Int(lane)), Some(CqlValue::Text(position))) = (lane, position) else {
        return None;
    };
    Some(Parked {
        user: UserId(uuid::Uuid::from_slice(&user).ok()?),
        lane: Lane(u16::try_from(lane).ok()?),
        position: position.parse().ok()?,
        lane_sequence: LaneSequence(u64::try_from(lane_sequence).ok()?),
        reason: match reason {
            Some(CqlValue::Text(reason)) => reason,
            _ => String::new(),
        },
    })
}

/// Returns the write that moves a checkpoint.
///
/// It needs no condition: its timestamp grows with its place, so of two writers the one that came
/// further wins, whichever arrives last, and both have written all rows up to their places.
pub(crate) async fn checkpoint(
    store: &Store,
    subject: &Subject,
    to: &Checkpoint,
) -> Result<Write, Fault> {
    let statement = format!(
        "INSERT INTO {} (model, generation, lane, checkpoint) VALUES (?, ?, ?, ?) \
         USING TIMESTAMP ?",
        store.table("foldline_checkpoints")
    );
    let json = serde_json::to_string(to).expect("a checkpoint is plain JSON");
    let values = vec![
        text(&subject.model),
        number(subject.number),
        CqlValue::Int(to.lane.0.into()),
        CqlValue::Text(json),
        CqlValue::BigInt(timestamp(to.lane_sequence)),
    ];
    store.ready(&statement, values).await
}

/// Returns the write that holds a user back. Each event that could not be applied has a row of its
/// own, and the first of a user's is the one that counts: so the order of arrival does not matter.
pub(crate) async fn park(
    store: &Store,
    subject: &Subject,
    parked: &Parked,
) -> Result<Write, Fault> {
    let statement = format!(
        "INSERT INTO {} (model, generation, user, lane_sequence, lane, position, reason) \
         VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
        store.table("foldline_parked")
    );
    let values = vec![
        text(&subject.model),
        number(subject.number),
        CqlValue::Blob(parked.user.0.as_bytes().to_vec()),
        CqlValue::BigInt(parked.lane_sequence.0.cast_signed()),
        CqlValue::Int(parked.lane.0.into()),
        text(&parked.position.to_string()),
        text(&parked.reason),
        CqlValue::BigInt(timestamp(parked.lane_sequence)),
    ];
    store.ready(&statement, values).await
}

/// Tells whoever has the generation open that it is gone.
pub(crate) async fn retire(store: &Store, subject: &Subject) -> Result<(), Fault> {
    let statement = format!(
        "UPDATE {} USING TIMESTAMP ? SET retired = true WHERE model = ? AND generation = ?",
        store.table("foldline_checkpoints")
    );
    let of = || [text(&subject.model), number(subject.number)];
    let at = CqlValue::BigInt(LAST_TIMESTAMP);
    let [model, generation] = of();
    store
        .put(&statement, vec![at.clone(), model, generation])
        .await?;
    let statement = format!(
        "DELETE FROM {} USING TIMESTAMP ? WHERE model = ? AND generation = ?",
        store.table("foldline_parked")
    );
    let [model, generation] = of();
    store.put(&statement, vec![at, model, generation]).await
}
