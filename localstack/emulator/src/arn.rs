//! Amazon Resource Names of what runs here, made in one place so that the template, the policies and the
//! endpoints cannot spell them differently.

use crate::deployment::{ACCOUNT, REGION};

/// The label of every table's stream. AWS makes it from the time the stream was switched on; here it has to be
/// known before the table is made.
pub const STREAM_LABEL: &str = "local";

/// ARN of a function.
pub fn function(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}")
}

/// ARN of a table.
pub fn table(name: &str) -> String {
    format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}")
}

/// ARN of an index of a table.
pub fn index(table_name: &str, index_name: &str) -> String {
    format!("{}/index/{index_name}", table(table_name))
}

/// ARN of the stream of a table.
pub fn stream(table_name: &str) -> String {
    format!("{}/stream/{STREAM_LABEL}", table(table_name))
}

/// ARN of a topic.
pub fn topic(name: &str) -> String {
    format!("arn:aws:sns:{REGION}:{ACCOUNT}:{name}")
}

/// ARN of a queue.
pub fn queue(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}

/// ARN of a secret. AWS adds six random characters; here they are always the same.
pub fn secret(name: &str) -> String {
    format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-000000")
}

/// The name of the table in a table's, index's or stream's ARN; a plain name is given back as it is.
pub fn table_name(arn_or_name: &str) -> &str {
    match arn_or_name.split_once(":table/") {
        Some((_, rest)) => rest.split('/').next().unwrap_or(rest),
        None => arn_or_name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_found_in_each_of_its_arns() {
        for arn in [table("erp-auth"), index("erp-auth", "list"), stream("erp-auth"), "erp-auth".to_owned()] {
            assert_eq!(table_name(&arn), "erp-auth", "{arn}");
        }
    }
}
