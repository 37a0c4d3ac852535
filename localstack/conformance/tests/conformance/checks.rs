//! Checks of a template: each a function that says what is wrong with one, so that it can be asked about the template
//! as it is - that is the test of its name - and about templates that something has been taken from.

use crate::world::World;

/// Says what is wrong with a template, and what to do about it.
pub(crate) type Check = fn(&World) -> Vec<String>;

/// Makes functions checks: a test of each, and the list of them.
macro_rules! checks {
    ($($name:ident),+ $(,)?) => {
        /// The checks of this file, by their names.
        pub(crate) const CHECKS: &[(&str, crate::checks::Check)] = &[$((stringify!($name), super::$name),)+];

        $(#[test]
        fn $name() {
            crate::none(super::$name(crate::world::world()));
        })+
    };
}
pub(crate) use checks;

/// All checks there are.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Check)> {
    [
        crate::alarms::holds::CHECKS,
        crate::binaries::holds::CHECKS,
        crate::environment::holds::CHECKS,
        crate::gateway::holds::CHECKS,
        crate::kinds::holds::CHECKS,
        crate::operation::holds::CHECKS,
        crate::outbox::holds::CHECKS,
        crate::permissions::holds::CHECKS,
        crate::queues::holds::CHECKS,
        crate::gateway_responses::holds::CHECKS,
        crate::routes::holds::CHECKS,
        crate::runbook::holds::CHECKS,
        crate::samples::holds::CHECKS,
        crate::tables::holds::CHECKS,
    ]
    .into_iter()
    .flatten()
    .copied()
}
