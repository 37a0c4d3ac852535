//! What something was, and from which moment on. A moment is the number of a commit.

/// The states of one thing, oldest first; none while it is not there.
#[derive(Debug, Clone)]
pub struct Timeline<T>(Vec<(usize, Option<T>)>);

impl<T> Default for Timeline<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Timeline<T> {
    /// What it is now.
    pub fn now(&self) -> Option<&T> {
        self.0.last().and_then(|(_, state)| state.as_ref())
    }

    /// From this moment on it is that.
    pub fn set(&mut self, moment: usize, state: Option<T>) {
        self.0.push((moment, state));
    }

    /// Everything that it was at some moment from `from` to `to`, none included.
    pub fn during(&self, from: usize, to: usize) -> impl Iterator<Item = Option<&T>> {
        let before = self.0.iter().rev().find(|(moment, _)| *moment <= from);
        let first = before.and_then(|(_, state)| state.as_ref());
        let later = self.0.iter().filter(move |(moment, _)| *moment > from && *moment <= to);
        std::iter::once(first).chain(later.map(|(_, state)| state.as_ref()))
    }

    /// Whether it became something else after `from` and until `to`.
    pub fn moved(&self, from: usize, to: usize) -> bool {
        self.0.iter().any(|(moment, _)| *moment > from && *moment <= to)
    }
}
