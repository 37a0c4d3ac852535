//! The tables: what they are made of, and which indexes the code enters and reads.
//!
//! That the indexes with a projection of their own hold all that a list shows, `erp-orders` tests beside the row;
//! the samples read them.

use std::collections::BTreeSet;

use erp_aws::outbox::OUTBOX_INDEX;
use serde_json::{Value, json};

use crate::none;
use crate::source::code_of;
use crate::world::{deployment, of_type};

/// Each service's table, and the folders whose code writes its rows.
const TABLES: [(&str, &[&str]); 5] = [
    ("auth", &["functions/auth", "shared/aws"]),
    ("contact", &["functions/contact", "shared/aws"]),
    ("inventory", &["functions/inventory", "shared/aws"]),
    ("sales", &["functions/sales", "shared/orders", "shared/aws"]),
    ("purchase", &["functions/purchase", "shared/orders", "shared/aws"]),
];

/// The indexes that rows stand in: those of which they have the attribute `{index}_pk`.
fn entered(folders: &[&str]) -> BTreeSet<String> {
    let fields = folders.iter().flat_map(|folder| {
        let code = code_of(folder);
        let words = code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let indexes = words.filter_map(|word| word.strip_suffix("_pk").map(str::to_owned));
        indexes.filter(|index| !index.is_empty()).collect::<Vec<_>>()
    });
    fields.collect()
}

/// The indexes that a table has, by name.
fn indexes(create: &Value) -> Vec<&Value> {
    create["GlobalSecondaryIndexes"].as_array().into_iter().flatten().collect()
}

#[test]
fn every_service_has_its_table_and_there_is_no_other() {
    let names: BTreeSet<String> = deployment().tables.iter().map(|table| table.name.clone()).collect();
    let known: BTreeSet<String> = TABLES.iter().map(|(service, _)| format!("erp-{service}")).collect();
    assert_eq!(names, known, "make TABLES here and the tables of template.yaml the same");
}

#[test]
fn a_table_has_the_indexes_that_its_rows_stand_in_and_no_other() {
    let mut faults = Vec::new();
    for (service, folders) in TABLES {
        let table = deployment().tables.iter().find(|table| table.name == format!("erp-{service}")).unwrap();
        let entered = entered(folders);
        let code: String = folders.iter().map(|folder| code_of(folder)).collect();
        let there: BTreeSet<String> = indexes(&table.create)
            .into_iter()
            .map(|index| index["IndexName"].as_str().unwrap().to_owned())
            .collect();
        for index in entered.difference(&there) {
            faults.push(format!(
                "add the index {index} to {}: rows of {folders:?} have {index}_pk",
                table.logical_id
            ));
        }
        for index in there.difference(&entered) {
            faults.push(format!("take the index {index} out of {}: no row has {index}_pk", table.logical_id));
        }
        for index in there.iter().filter(|index| !code.contains(&format!("\"{index}\""))) {
            faults.push(format!("take the index {index} out of {}: no code reads it", table.logical_id));
        }
        if !there.contains(OUTBOX_INDEX) {
            faults.push(format!(
                "{} needs the index {OUTBOX_INDEX}: its event rows stand there",
                table.logical_id
            ));
        }
    }
    none(faults);
}

#[test]
fn keys_are_called_as_the_code_calls_them() {
    let schema = |prefix: &str| {
        json!([
            {"AttributeName": format!("{prefix}pk"), "KeyType": "HASH"},
            {"AttributeName": format!("{prefix}sk"), "KeyType": "RANGE"},
        ])
    };
    let mut faults = Vec::new();
    for table in &deployment().tables {
        let mut check = |of: &str, found: &Value, prefix: &str| {
            if *found != schema(prefix) {
                faults.push(format!(
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
    none(faults);
}

#[test]
fn rows_expire_are_streamed_backed_up_and_encrypted() {
    none(of_type("AWS::DynamoDB::Table").flat_map(|table| {
        [
            ("/TimeToLiveSpecification", json!({"AttributeName": "expires_at", "Enabled": true})),
            ("/StreamSpecification", json!({"StreamViewType": "NEW_IMAGE"})),
            ("/PointInTimeRecoverySpecification", json!({"PointInTimeRecoveryEnabled": true})),
            ("/SSESpecification", json!({"SSEEnabled": true})),
            ("/BillingMode", json!("PAY_PER_REQUEST")),
        ]
        .into_iter()
        .filter(|(pointer, wanted)| table.property(pointer) != wanted)
        .map(|(pointer, wanted)| format!("{}: {} must be {wanted}", table.id, &pointer[1..]))
    }));
}

#[test]
fn rows_that_expire_say_so_in_the_attribute_that_the_tables_watch() {
    let code = code_of("shared/aws");
    assert!(
        code.contains("    expires_at: i64,"),
        "the row of kept answers must have `expires_at`, in seconds"
    );
}
