//! The tables: what they are made of, and which indexes the code enters and reads.
//!
//! That the indexes with a projection of their own hold all that a list shows, `erp-orders` tests beside the row;
//! the samples read them.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use erp_aws::outbox::OUTBOX_INDEX;
use serde_json::{Value, json};

use crate::source::code_of;
use crate::world::{STACK, World};

pub(crate) mod holds {
    crate::checks::checks!(
        every_service_has_its_table_and_there_is_no_other,
        a_table_has_the_indexes_that_its_rows_stand_in_and_no_other,
        keys_are_called_as_the_code_calls_them,
        lists_are_read_from_what_their_index_holds,
        rows_expire_are_streamed_backed_up_and_encrypted,
    );
}

/// Each service's table, and the folders whose code writes its rows.
const TABLES: [(&str, &[&str]); 5] = [
    ("auth", &["functions/auth", "shared/aws"]),
    ("contact", &["functions/contact", "shared/aws"]),
    ("inventory", &["functions/inventory", "shared/aws"]),
    ("sales", &["functions/sales", "shared/orders", "shared/aws"]),
    ("purchase", &["functions/purchase", "shared/orders", "shared/aws"]),
];

/// What the indexes hold of an order for the lists, beside keys. `erp-orders` tests that its row is just this.
const SUMMARY: [&str; 9] =
    ["id", "party_id", "status", "stock_status", "total", "currency", "version", "created_at", "updated_at"];

/// The code that writes the rows of a table.
struct Code {
    service: &'static str,
    folders: &'static [&'static str],
    text: String,
    /// The indexes that rows stand in: those of which they have the attribute `{index}_pk`.
    entered: BTreeSet<String>,
}

fn code() -> &'static [Code] {
    static CODE: OnceLock<Vec<Code>> = OnceLock::new();
    CODE.get_or_init(|| {
        let code = |(service, folders): (&'static str, &'static [&str])| {
            let text: String = folders.iter().map(|folder| code_of(folder)).collect();
            let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let indexes = words.filter_map(|word| word.strip_suffix("_pk").map(str::to_owned));
            let entered = indexes.filter(|index| !index.is_empty()).collect();
            Code { service, folders, text, entered }
        };
        TABLES.into_iter().map(code).collect()
    })
}

/// The indexes that a table has, by name.
fn indexes(create: &Value) -> Vec<&Value> {
    create["GlobalSecondaryIndexes"].as_array().into_iter().flatten().collect()
}

fn every_service_has_its_table_and_there_is_no_other(world: &World) -> Vec<String> {
    let tables = world.deployment.tables.iter();
    let names: BTreeSet<String> = tables.map(|table| table.name.clone()).collect();
    let known: BTreeSet<String> = TABLES.iter().map(|(service, _)| format!("{STACK}-{service}")).collect();
    let differ = names.symmetric_difference(&known);
    differ.map(|name| format!("{name}: make TABLES here and the tables of template.yaml the same")).collect()
}

fn a_table_has_the_indexes_that_its_rows_stand_in_and_no_other(world: &World) -> Vec<String> {
    let mut faults = Vec::new();
    for Code { service, folders, text, entered } in code() {
        let name = format!("{STACK}-{service}");
        let Some(table) = world.deployment.tables.iter().find(|table| table.name == name) else { continue };
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
        for index in there.difference(entered) {
            faults.push(format!("take the index {index} out of {}: no row has {index}_pk", table.logical_id));
        }
        for index in there.iter().filter(|index| !text.contains(&format!("\"{index}\""))) {
            faults.push(format!("take the index {index} out of {}: no code reads it", table.logical_id));
        }
        if !there.contains(OUTBOX_INDEX) {
            faults.push(format!(
                "{} needs the index {OUTBOX_INDEX}: its event rows stand there",
                table.logical_id
            ));
        }
    }
    faults
}

fn keys_are_called_as_the_code_calls_them(world: &World) -> Vec<String> {
    let schema = |prefix: &str| {
        json!([
            {"AttributeName": format!("{prefix}pk"), "KeyType": "HASH"},
            {"AttributeName": format!("{prefix}sk"), "KeyType": "RANGE"},
        ])
    };
    let mut faults = Vec::new();
    for table in &world.deployment.tables {
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
    faults
}

fn lists_are_read_from_what_their_index_holds(world: &World) -> Vec<String> {
    let summary = json!({"ProjectionType": "INCLUDE", "NonKeyAttributes": SUMMARY});
    let everything = json!({"ProjectionType": "ALL"});
    let faults = world.deployment.tables.iter().flat_map(|table| {
        let of_orders = [format!("{STACK}-sales"), format!("{STACK}-purchase")].contains(&table.name);
        let (summary, everything) = (&summary, &everything);
        indexes(&table.create).into_iter().filter_map(move |index| {
            let is_list = of_orders && index["IndexName"] != OUTBOX_INDEX;
            let wanted = if is_list { summary } else { everything };
            (index["Projection"] != *wanted).then(|| {
                format!("{}: the Projection of {} must be {wanted}", table.logical_id, index["IndexName"])
            })
        })
    });
    faults.collect()
}

fn rows_expire_are_streamed_backed_up_and_encrypted(world: &World) -> Vec<String> {
    let faults = world.of_type("AWS::DynamoDB::Table").flat_map(|table| {
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
    });
    faults.collect()
}

#[test]
fn rows_that_expire_say_so_in_the_attribute_that_the_tables_watch() {
    let code = code_of("shared/aws");
    assert!(
        code.contains("    expires_at: i64,"),
        "the row of kept answers must have `expires_at`, in seconds"
    );
}
