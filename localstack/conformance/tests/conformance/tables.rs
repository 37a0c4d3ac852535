//! The tables: keys, settings, and the indexes that the code writes and reads.
//!
//! Unit tests in `functions/sales` and `functions/purchase` compare the projections of the order indexes with
//! the rows.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use erp_aws::outbox::OUTBOX_INDEX;
use serde_json::{Value, json};

use crate::source_files::code_of;
use crate::template::{STACK, Template};

pub(crate) mod checks {
    crate::template_checks::register!(
        every_context_has_exactly_one_table,
        every_table_has_exactly_the_indexes_that_its_rows_use,
        keys_have_the_names_that_the_code_uses,
        indexes_project_the_attributes_of_list_entries,
        tables_have_expiry_streams_backups_and_encryption,
    );
}

/// The table of each context, and the packages whose code writes its rows.
const TABLES: [(&str, &[&str]); 6] = [
    ("auth", &["functions/auth", "shared/aws"]),
    ("contact", &["functions/contact", "shared/aws"]),
    ("inventory", &["functions/inventory", "shared/aws"]),
    ("sales", &["functions/sales", "shared/orders", "shared/aws"]),
    ("purchase", &["functions/purchase", "shared/orders", "shared/aws"]),
    (RECONCILIATION, &["functions/operator/src/reconcile"]),
];
/// The table of the reconciliation: it has no events, so it has neither an outbox nor a stream.
const RECONCILIATION: &str = "reconciliation";

/// The attributes of list entries of orders, which the indexes project besides keys.
const SUMMARY: [&str; 9] =
    ["id", "party_id", "status", "stock_status", "total", "currency", "version", "created_at", "updated_at"];

/// The code that writes the rows of a table.
struct Code {
    service: &'static str,
    folders: &'static [&'static str],
    text: String,
    /// The indexes whose partition key `{index}_pk` is an attribute of rows.
    indexes: BTreeSet<String>,
}

fn code() -> &'static [Code] {
    static CODE: OnceLock<Vec<Code>> = OnceLock::new();
    CODE.get_or_init(|| {
        let code = |(service, folders): (&'static str, &'static [&str])| {
            let text: String = folders.iter().map(|folder| code_of(folder)).collect();
            let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let indexes = words.filter_map(|word| word.strip_suffix("_pk").map(str::to_owned));
            let indexes = indexes.filter(|index| !index.is_empty()).collect();
            Code { service, folders, text, indexes }
        };
        TABLES.into_iter().map(code).collect()
    })
}

/// Returns the indexes of a table.
fn indexes(create: &Value) -> Vec<&Value> {
    create["GlobalSecondaryIndexes"].as_array().into_iter().flatten().collect()
}

fn every_context_has_exactly_one_table(template: &Template) -> Vec<String> {
    let tables = template.deployment.tables.iter();
    let names: BTreeSet<String> = tables.map(|table| table.name.clone()).collect();
    let known: BTreeSet<String> = TABLES.iter().map(|(service, _)| format!("{STACK}-{service}")).collect();
    let differ = names.symmetric_difference(&known);
    differ.map(|name| format!("{name}: TABLES here and the tables of template.yaml must be equal")).collect()
}

fn every_table_has_exactly_the_indexes_that_its_rows_use(template: &Template) -> Vec<String> {
    let mut violations = Vec::new();
    for Code { service, folders, text, indexes: written } in code() {
        let name = format!("{STACK}-{service}");
        let Some(table) = template.deployment.tables.iter().find(|table| table.name == name) else {
            continue;
        };
        let existing: BTreeSet<String> = indexes(&table.create)
            .into_iter()
            .map(|index| index["IndexName"].as_str().unwrap().to_owned())
            .collect();
        for index in written.difference(&existing) {
            violations.push(format!(
                "add the index {index} to {}: rows of {folders:?} have {index}_pk",
                table.logical_id
            ));
        }
        for index in existing.difference(written) {
            violations
                .push(format!("remove the index {index} from {}: no row has {index}_pk", table.logical_id));
        }
        for index in existing.iter().filter(|index| !text.contains(&format!("\"{index}\""))) {
            violations.push(format!("remove the index {index} from {}: no code reads it", table.logical_id));
        }
        if !existing.contains(OUTBOX_INDEX) && *service != RECONCILIATION {
            violations
                .push(format!("{} needs the index {OUTBOX_INDEX} for its event rows", table.logical_id));
        }
    }
    violations
}

fn keys_have_the_names_that_the_code_uses(template: &Template) -> Vec<String> {
    let schema = |prefix: &str| {
        json!([
            {"AttributeName": format!("{prefix}pk"), "KeyType": "HASH"},
            {"AttributeName": format!("{prefix}sk"), "KeyType": "RANGE"},
        ])
    };
    let mut violations = Vec::new();
    for table in &template.deployment.tables {
        let mut check = |of: &str, found: &Value, prefix: &str| {
            if *found != schema(prefix) {
                violations.push(format!(
                    "{}: the keys of {of} must be {prefix}pk and {prefix}sk",
                    table.logical_id
                ));
            }
        };
        check("the table", &table.create["KeySchema"], "");
        for index in indexes(&table.create) {
            let name = index["IndexName"].as_str().unwrap();
            check(name, &index["KeySchema"], &format!("{name}_"));
        }
    }
    violations
}

fn indexes_project_the_attributes_of_list_entries(template: &Template) -> Vec<String> {
    let summary = json!({"ProjectionType": "INCLUDE", "NonKeyAttributes": SUMMARY});
    let everything = json!({"ProjectionType": "ALL"});
    let violations = template.deployment.tables.iter().flat_map(|table| {
        let of_orders = [format!("{STACK}-sales"), format!("{STACK}-purchase")].contains(&table.name);
        let (summary, everything) = (&summary, &everything);
        indexes(&table.create).into_iter().filter_map(move |index| {
            let is_list = of_orders && index["IndexName"] != OUTBOX_INDEX;
            let expected = if is_list { summary } else { everything };
            (index["Projection"] != *expected).then(|| {
                format!("{}: the Projection of {} must be {expected}", table.logical_id, index["IndexName"])
            })
        })
    });
    violations.collect()
}

fn tables_have_expiry_streams_backups_and_encryption(template: &Template) -> Vec<String> {
    let violations = template.of_type("AWS::DynamoDB::Table").flat_map(|table| {
        let stream = match table.id.as_str() {
            "ReconciliationTable" => Value::Null,
            // The reconciliation compares a change of stock with the stock before it.
            "InventoryTable" => json!({"StreamViewType": "NEW_AND_OLD_IMAGES"}),
            _ => json!({"StreamViewType": "NEW_IMAGE"}),
        };
        [
            ("/TimeToLiveSpecification", json!({"AttributeName": "expires_at", "Enabled": true})),
            ("/StreamSpecification", stream),
            ("/PointInTimeRecoverySpecification", json!({"PointInTimeRecoveryEnabled": true})),
            (
                "/SSESpecification",
                json!({
                    "SSEEnabled": true,
                    "SSEType": "KMS",
                    "KMSMasterKeyId": {"If": ["HasKey", {"GetAtt": "Key.Arn"}, {"Ref": "AWS::NoValue"}]},
                }),
            ),
            ("/BillingMode", json!("PAY_PER_REQUEST")),
        ]
        .into_iter()
        .filter(|(pointer, expected)| table.property(pointer) != expected)
        .map(|(pointer, expected)| format!("{}: {} must be {expected}", table.id, &pointer[1..]))
    });
    violations.collect()
}

#[test]
fn idempotency_records_have_the_expiry_attribute_of_the_tables() {
    let code = code_of("shared/service");
    assert!(
        code.contains("    expires_at: i64,"),
        "the idempotency record must have `expires_at`, in seconds"
    );
}
