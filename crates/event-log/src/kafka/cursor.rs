//! The adapter's own place in a checkpoint: per context the offset of the last event absorbed.
//!
//! ```text
//!   orders=18234,payments=20110
//! ```
//!
//! It saves looking for the place and is believed only where the event that lies there is the one
//! the checkpoint says: a topic that was copied has other offsets.

use foldline_kernel::Topology;

/// Writes the offsets that are known, in the order of the contexts.
pub(crate) fn write(topology: &Topology, offsets: &[Option<i64>]) -> Option<String> {
    let mut text = String::new();
    for (context, offset) in topology.contexts.iter().zip(offsets) {
        if let Some(offset) = offset {
            let comma = if text.is_empty() { "" } else { "," };
            text.push_str(&format!("{comma}{context}={offset}"));
        }
    }
    (!text.is_empty()).then_some(text)
}

/// Reads the offsets of the contexts of a log; what is not understood is not there.
pub(crate) fn read(topology: &Topology, cursor: Option<&str>) -> Vec<Option<i64>> {
    let mut offsets = vec![None; topology.contexts.len()];
    for part in cursor.unwrap_or_default().split(',') {
        let parsed = part.split_once('=').and_then(|(context, offset)| {
            let index = topology.index_of(&context.parse().ok()?)?;
            Some((index, offset.parse().ok().filter(|offset| *offset >= 0)?))
        });
        if let Some((index, offset)) = parsed {
            offsets[index] = Some(offset);
        }
    }
    offsets
}

#[cfg(test)]
mod tests {
    use foldline_kernel::LogId;

    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_is_written() {
        let contexts = ["orders", "payments", "reviews"].map(|name| name.parse().unwrap());
        let id = LogId(uuid::Uuid::nil());
        let topology = Topology::new(id, "market".parse().unwrap(), 8, contexts.into()).unwrap();
        let offsets = [Some(18234), None, Some(7)];
        let text = write(&topology, &offsets).unwrap();
        assert_eq!(text, "orders=18234,reviews=7");
        assert_eq!(read(&topology, Some(&text)), offsets);
        assert_eq!(write(&topology, &[None; 3]), None);
        let strange = "orders=x,heaven=3,reviews=-2,,payments";
        assert_eq!(read(&topology, Some(strange)), [None; 3]);
    }
}
