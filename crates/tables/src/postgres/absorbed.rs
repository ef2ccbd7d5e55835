//! Checkpoints and parked users as they stand.

use foldline_kernel::{Checkpoint, Lane, LaneSequence, UserId};
use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow};

use super::{names::Names, trouble::Subject, value};
use crate::{Absorbed, Parked, TableError};

/// Reads what a generation has absorbed, in one statement: all of it as of one moment.
///
/// # Errors
/// [`TableError::NoGeneration`] where it has been retired.
pub(crate) async fn read(
    connection: &mut PgConnection,
    names: &Names,
    subject: &Subject,
) -> Result<Absorbed, TableError> {
    let doing = "read the checkpoints of";
    let statement = format!(
        "SELECT 0 AS kind, lane, lane_sequence, checkpoint, NULL AS reason, NULL AS \"user\"
           FROM {checkpoints} WHERE model = $1 AND number = $2
         UNION ALL SELECT 1, lane, lane_sequence, position, reason, \"user\"::text
           FROM {parked} WHERE model = $1 AND number = $2
         UNION ALL SELECT 2, NULL, NULL, NULL, NULL, NULL
           FROM {generations} WHERE model = $1 AND number = $2",
        checkpoints = names.own("checkpoints"),
        parked = names.own("parked"),
        generations = names.own("generations"),
    );
    let rows = sqlx::query(AssertSqlSafe(statement))
        .bind(&subject.model)
        .bind(i64::from(subject.number.0))
        .fetch_all(connection)
        .await
        .map_err(|error| subject.error(doing, error))?;
    let (mut absorbed, mut known) = (Absorbed::default(), false);
    for row in rows {
        let read = match row.try_get::<i32, _>(0) {
            Ok(0) => checkpoint(&row).map(|read| absorbed.checkpoints.push(read)),
            Ok(1) => parked(&row).map(|read| absorbed.parked.push(read)),
            Ok(_) => {
                known = true;
                Ok(())
            }
            Err(error) => Err(error),
        };
        read.map_err(|error| subject.error(doing, error))?;
    }
    if !known {
        return Err(subject.gone());
    }
    absorbed.checkpoints.sort_by_key(|read| read.lane);
    absorbed
        .parked
        .sort_by_key(|read| (read.lane, read.lane_sequence));
    Ok(absorbed)
}

fn checkpoint(row: &PgRow) -> Result<Checkpoint, sqlx::Error> {
    serde_json::from_str(row.try_get(3)?).map_err(decode)
}

fn parked(row: &PgRow) -> Result<Parked, sqlx::Error> {
    let (position, user): (&str, &str) = (row.try_get(3)?, row.try_get(5)?);
    Ok(Parked {
        user: UserId(user.parse().map_err(decode)?),
        lane: Lane(u16::try_from(row.try_get::<i32, _>(1)?).map_err(decode)?),
        position: position.parse().map_err(decode)?,
        lane_sequence: LaneSequence(u64::try_from(row.try_get::<i64, _>(2)?).map_err(decode)?),
        reason: value::unescaped(row.try_get(4)?).into_owned(),
    })
}

fn decode(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
