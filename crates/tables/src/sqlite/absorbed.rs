//! Checkpoints and parked users as they stand in a generation's file.

use foldline_kernel::{Checkpoint, Lane, LaneSequence, UserId};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::trouble::Subject;
use crate::{Absorbed, Parked, TableError};

/// One statement, because each costs a trip to SQLite's thread.
const ABSORBED: &str = "
SELECT 0, lane, lane_sequence, checkpoint, NULL, NULL FROM checkpoints
UNION ALL SELECT 1, lane, lane_sequence, position, reason, user FROM parked
UNION ALL SELECT 2, NULL, NULL, NULL, NULL, NULL FROM retired";

/// Reads what a generation has absorbed.
///
/// # Errors
/// [`TableError::NoGeneration`] where it has been retired since the file was opened.
pub(crate) async fn read(
    connection: &mut SqliteConnection,
    subject: &Subject,
) -> Result<Absorbed, TableError> {
    let doing = "read the checkpoints of";
    let rows = sqlx::query(ABSORBED)
        .fetch_all(connection)
        .await
        .map_err(|error| subject.error(doing, error))?;
    let mut absorbed = Absorbed::default();
    for row in rows {
        let kind: i64 = row
            .try_get(0)
            .map_err(|error| subject.error(doing, error))?;
        let read = match kind {
            0 => checkpoint(&row).map(|read| absorbed.checkpoints.push(read)),
            1 => parked(&row).map(|read| absorbed.parked.push(read)),
            _ => return Err(subject.gone()),
        };
        read.map_err(|error| subject.error(doing, error))?;
    }
    absorbed.checkpoints.sort_by_key(|read| read.lane);
    absorbed
        .parked
        .sort_by_key(|read| (read.lane, read.lane_sequence));
    Ok(absorbed)
}

fn checkpoint(row: &SqliteRow) -> Result<Checkpoint, sqlx::Error> {
    serde_json::from_str(row.try_get(3)?).map_err(decode)
}

fn parked(row: &SqliteRow) -> Result<Parked, sqlx::Error> {
    let position: &str = row.try_get(3)?;
    Ok(Parked {
        user: UserId(uuid::Uuid::from_slice(row.try_get(5)?).map_err(decode)?),
        lane: Lane(u16::try_from(row.try_get::<i64, _>(1)?).map_err(decode)?),
        position: position.parse().map_err(decode)?,
        lane_sequence: LaneSequence(u64::try_from(row.try_get::<i64, _>(2)?).map_err(decode)?),
        reason: row.try_get(4)?,
    })
}

fn decode(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
