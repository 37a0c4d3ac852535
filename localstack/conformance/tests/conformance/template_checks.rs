//! Checks of a template. A check is a function that returns the violations, so it runs on the committed
//! template, as a test of the same name, and on every mutant of it (`template_mutations`).

use crate::template::Template;

/// Returns the violations of a template; each text includes the remedy.
pub(crate) type Check = fn(&Template) -> Vec<String>;

/// Registers functions as checks: defines a test for each of them, and their list.
macro_rules! register {
    ($($name:ident),+ $(,)?) => {
        /// The checks of this file.
        pub(crate) const CHECKS: &[crate::template_checks::Check] = &[$(super::$name,)+];

        $(#[test]
        fn $name() {
            crate::assert_none(super::$name(crate::template::Template::committed()));
        })+
    };
}
pub(crate) use register;

/// Returns all checks.
pub(crate) fn all() -> impl Iterator<Item = Check> {
    [
        crate::alarms::checks::CHECKS,
        crate::binaries::checks::CHECKS,
        crate::environment::checks::CHECKS,
        crate::event_subscriptions::checks::CHECKS,
        crate::gateway::checks::CHECKS,
        crate::gateway_responses::checks::CHECKS,
        crate::optional_resources::checks::CHECKS,
        crate::change_filters::checks::CHECKS,
        crate::outbox_filters::checks::CHECKS,
        crate::permissions::checks::CHECKS,
        crate::queues::checks::CHECKS,
        crate::resource_settings::checks::CHECKS,
        crate::routes::checks::CHECKS,
        crate::runbook::checks::CHECKS,
        crate::samples::checks::CHECKS,
        crate::tables::checks::CHECKS,
    ]
    .into_iter()
    .flatten()
    .copied()
}
