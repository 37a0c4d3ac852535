//! The filters between table streams and the continuous reconciliation.

use erp_local::broker::filter::matches;
use erp_local::deployment::TriggerSource;
use serde_json::json;

use crate::template::Template;

pub(crate) mod checks {
    crate::template_checks::register!(exactly_the_changes_that_are_reconciled_pass);
}

/// An event name, a sort key, and whether the change is checked.
type Change = (&'static str, &'static str, bool);

/// The changes of each table.
const CHANGES: [(&str, &[Change]); 3] = [
    (
        "erp-inventory",
        &[
            ("INSERT", "STOCK", true),
            ("MODIFY", "ALLOCATION", true),
            ("INSERT", "MOVEMENT#1", true),
            ("REMOVE", "MOVEMENT#1", true),
            ("REMOVE", "WAITING#1", true),
            ("INSERT", "WAITING#1", false),
            ("INSERT", "EVENT#1", false),
            ("MODIFY", "ITEM", false),
        ],
    ),
    ("erp-sales", ORDERS),
    ("erp-purchase", ORDERS),
];
const ORDERS: &[Change] =
    &[("INSERT", "ORDER", true), ("REMOVE", "ORDER", true), ("INSERT", "EVENT#1", false)];

fn exactly_the_changes_that_are_reconciled_pass(template: &Template) -> Vec<String> {
    let mut violations = Vec::new();
    for (table, changes) in CHANGES {
        let triggers = template.deployment.triggers.iter();
        let mut of_table = triggers
            .filter(|trigger| trigger.function == "ReconcileChangesFunction")
            .filter_map(|trigger| match &trigger.source {
                TriggerSource::Stream { table: name, filters, report_item_failures, .. } if name == table => {
                    Some((filters, *report_item_failures))
                }
                _ => None,
            });
        let Some((filters, true)) = of_table.next() else {
            violations
                .push(format!("ReconcileChangesFunction: add a trigger of {table} with batch responses"));
            continue;
        };
        for (name, sk, passes) in changes {
            let record = json!({
                "eventName": name,
                "eventSource": "aws:dynamodb",
                "dynamodb": {"Keys": {"pk": {"S": "1"}, "sk": {"S": sk}}},
            });
            let found = filters.is_empty() || filters.iter().any(|filter| matches(filter, &record));
            if found != *passes {
                let verb = if *passes { "must" } else { "must not" };
                violations.push(format!("ReconcileChangesFunction, {table}: {name} of {sk} {verb} pass"));
            }
        }
    }
    violations
}
