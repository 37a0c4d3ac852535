//! The states of an entity over time. A moment is the number of a commit.

/// The states of one entity, oldest first; `None` while it does not exist.
#[derive(Debug, Clone)]
pub struct Timeline<T>(Vec<(usize, Option<T>)>);

impl<T> Default for Timeline<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Timeline<T> {
    /// Returns the current state.
    pub fn now(&self) -> Option<&T> {
        self.0.last().and_then(|(_, state)| state.as_ref())
    }

    /// Sets the state from a moment on.
    pub fn set(&mut self, moment: usize, state: Option<T>) {
        self.0.push((moment, state));
    }

    /// Returns every state between the moments `from` and `to`, `None` included.
    pub fn during(&self, from: usize, to: usize) -> impl Iterator<Item = Option<&T>> {
        let before = self.0.iter().rev().find(|(moment, _)| *moment <= from);
        let first = before.and_then(|(_, state)| state.as_ref());
        let later = self.0.iter().filter(move |(moment, _)| *moment > from && *moment <= to);
        std::iter::once(first).chain(later.map(|(_, state)| state.as_ref()))
    }
}
