//! Amazon Resource Names, built in one place for the template, the policies and the endpoints.

use crate::deployment::{ACCOUNT, REGION};

/// The label of every stream. On AWS it is the creation time; here the template needs the ARN before the table exists.
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

/// ARN of a role.
pub fn role(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

/// ARN of a secret. AWS appends six random characters; here they are zeros.
pub fn secret(name: &str) -> String {
    format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-000000")
}

/// The table name in the ARN of a table, an index or a stream. A plain name is returned unchanged.
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
    fn the_table_name_is_read_from_each_kind_of_arn() {
        for arn in [table("erp-auth"), index("erp-auth", "list"), stream("erp-auth"), "erp-auth".to_owned()] {
            assert_eq!(table_name(&arn), "erp-auth", "{arn}");
        }
    }
}
