//! The environment variables of a function's process.
//! <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>

use std::collections::BTreeMap;
use std::path::Path;

use uuid::Uuid;

use super::clock::timestamp;
use super::config::Config;
use crate::deployment::{Function, REGION};

/// Variables that a process inherits from the platform. Sockets need `SystemRoot` on Windows.
const INHERITED: [&str; 4] = ["PATH", "RUST_LOG", "RUST_BACKTRACE", "SystemRoot"];

/// The variables that all environments of `function` share.
///
/// The precedence is that of AWS: the template cannot override variables that Lambda sets.
#[expect(clippy::disallowed_methods, reason = "passes variables on without a use of its own")]
pub(super) fn of(config: &Config, function: &Function, executable: &Path) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> =
        INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect();
    variables.extend(config.environment.clone());
    variables.extend(function.environment.clone());
    variables.extend(reserved(function, executable));
    variables.extend(config.function_environment.get(&function.logical_id).cloned().unwrap_or_default());
    variables
}

/// Adds the variables that differ between environments. `runtime_api` is the base URL of the Runtime API.
pub(super) fn with_runtime_api(
    variables: &BTreeMap<String, String>,
    runtime_api: String,
) -> BTreeMap<String, String> {
    let stream = format!("{}/[$LATEST]{}", timestamp().strftime("%Y/%m/%d"), Uuid::new_v4().simple());
    let mut variables = variables.clone();
    variables.insert("AWS_LAMBDA_RUNTIME_API".to_owned(), runtime_api);
    variables.insert("AWS_LAMBDA_LOG_STREAM_NAME".to_owned(), stream);
    variables
}

fn reserved(function: &Function, executable: &Path) -> BTreeMap<String, String> {
    let root = executable.parent().unwrap_or(Path::new("/")).display().to_string();
    [
        ("AWS_LAMBDA_FUNCTION_NAME", function.name.clone()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", function.memory_size.to_string()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
        ("AWS_LAMBDA_LOG_LEVEL", "INFO".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", function.name)),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_DEFAULT_REGION", REGION.to_owned()),
        ("_HANDLER", "bootstrap".to_owned()),
        ("LAMBDA_TASK_ROOT", root.clone()),
        ("LAMBDA_RUNTIME_DIR", root),
        ("TZ", ":UTC".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lambda::testing::function;

    #[test]
    fn the_template_cannot_override_lambda_variables_and_credentials_take_precedence() {
        let mut config = Config::new("logs");
        config.environment.insert("AWS_ENDPOINT_URL".into(), "http://127.0.0.1:4566".into());
        config.environment.insert("TABLE_NAME".into(), "overridden".into());
        config.function_environment.insert(
            "OrdersFunction".into(),
            BTreeMap::from([("AWS_ACCESS_KEY_ID".into(), "LOCALOrders".into())]),
        );
        let mut orders = function("OrdersFunction", "erp-orders");
        orders.environment.insert("TABLE_NAME".into(), "erp-sales".into());
        orders.environment.insert("AWS_REGION".into(), "mars-1".into());
        let variables = of(&config, &orders, Path::new("/opt/bin/orders"));
        for (name, value) in [
            ("AWS_LAMBDA_FUNCTION_NAME", "erp-orders"),
            ("AWS_REGION", "us-east-1"),
            ("TABLE_NAME", "erp-sales"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
            ("AWS_ACCESS_KEY_ID", "LOCALOrders"),
            ("LAMBDA_TASK_ROOT", "/opt/bin"),
        ] {
            assert_eq!(variables.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(!variables.contains_key("HOME"), "variables of the platform are not inherited");
    }
}
