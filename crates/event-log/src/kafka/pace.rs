//! How long a writer holds its next transaction back.

pub(crate) struct Pace;
#[derive(Default)]
pub(crate) struct Paces;
impl Paces {
    pub(crate) fn of_writer(&self) -> Pace {
        Pace
    }
}
impl Pace {
    pub(crate) fn hold_back(&mut self) {}
    pub(crate) fn wrote(&mut self, _records: usize) {}
}
