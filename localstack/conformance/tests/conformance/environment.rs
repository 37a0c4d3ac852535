//! Environment variables: the template sets what a function needs to start, no more and no less. The tests
//! start the real binaries.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use erp_local::deployment::Function;
use erp_local::lambda::{Config, Functions};
use erp_testkit::Dynamo;
use serde_json::{Value, json};

use crate::assert_none;
use crate::function_executables::executables;
use crate::source_files::{between, sources};
use crate::template::Template;

pub(crate) mod checks {
    crate::template_checks::register!(
        every_function_has_exactly_its_variables,
        every_variable_is_read_and_every_setting_is_a_variable,
        functions_behind_the_api_have_the_variables_of_http_responses,
    );
}

/// The variables of each function with their values; a secret is compared by its first character only.
const VARIABLES: &[(&str, &[(&str, &str)])] = &[
    ("authorizer", &[("JWT_KEYS", SECRET), ISSUER, AUDIENCE]),
    (
        "auth-api",
        &[
            ("TABLE_NAME", "erp-auth"),
            ("JWT_KEYS", SECRET),
            ISSUER,
            AUDIENCE,
            ("REGISTRATION", "closed"),
            ("RESET_TOKENS", "hide"),
            ("SERVICE_CREDENTIALS", SECRET),
        ],
    ),
    ("contact-api", &[("TABLE_NAME", "erp-contact")]),
    ("contact-query", &[("TABLE_NAME", "erp-contact")]),
    ("inventory-api", &[("TABLE_NAME", "erp-inventory")]),
    ("inventory-query", &[("TABLE_NAME", "erp-inventory")]),
    (
        "inventory-worker",
        &[
            ("TABLE_NAME", "erp-inventory"),
            ("QUEUE_URL", "http://127.0.0.1:4566/000000000000/erp-stock-queue"),
            ("DEAD_LETTER_QUEUE_URL", "http://127.0.0.1:4566/000000000000/erp-stock-queue-dlq"),
        ],
    ),
    ("sales-api", &[("TABLE_NAME", "erp-sales"), CONTACTS, ITEMS, ("CURRENCY", "USD")]),
    (
        "sales-worker",
        &[
            ("TABLE_NAME", "erp-sales"),
            ("QUEUE_URL", "http://127.0.0.1:4566/000000000000/erp-order-status-queue"),
            ("DEAD_LETTER_QUEUE_URL", "http://127.0.0.1:4566/000000000000/erp-order-status-queue-dlq"),
        ],
    ),
    ("purchase-api", &[("TABLE_NAME", "erp-purchase"), CONTACTS, ITEMS, ("CURRENCY", "USD")]),
    ("relay", &TOPICS),
    ("relay-sweep", &[TOPICS[0], TOPICS[1], TOPICS[2], TOPICS[3], TOPICS[4], ("SWEEP_TABLES", EVERY_TABLE)]),
    (
        "reconcile",
        &[
            ("INVENTORY_TABLE", "erp-inventory"),
            ("SALES_TABLE", "erp-sales"),
            ("PURCHASE_TABLE", "erp-purchase"),
            ("RECONCILIATION_TABLE", "erp-reconciliation"),
            ("OUTBOX_TABLES", EVERY_TABLE),
            ("PASS_INTERVAL_HOURS", "24"),
        ],
    ),
    (
        "reconcile-changes",
        &[
            ("INVENTORY_TABLE", "erp-inventory"),
            ("SALES_TABLE", "erp-sales"),
            ("PURCHASE_TABLE", "erp-purchase"),
            ("RECONCILIATION_TABLE", "erp-reconciliation"),
        ],
    ),
    (
        "portal",
        &[
            ("HEALTH_TABLES", EVERY_TABLE),
            ("HEALTH_QUEUES", QUEUES),
            ("HEALTH_DEAD_LETTER_QUEUES", DEAD_LETTER_QUEUES),
            ("AUTHORIZER_FUNCTION", "arn:aws:lambda:us-east-1:000000000000:function:erp-authorizer:live"),
        ],
    ),
];
const SECRET: &str = "{";
const ISSUER: (&str, &str) = ("JWT_ISSUER", "erp");
const AUDIENCE: (&str, &str) = ("JWT_AUDIENCE", "erp-order-platform");
const CONTACTS: (&str, &str) =
    ("CONTACT_QUERY_FUNCTION", "arn:aws:lambda:us-east-1:000000000000:function:erp-contact-query:live");
const ITEMS: (&str, &str) =
    ("INVENTORY_QUERY_FUNCTION", "arn:aws:lambda:us-east-1:000000000000:function:erp-inventory-query:live");
const QUEUES: &str = "http://127.0.0.1:4566/000000000000/erp-stock-queue,http://127.0.0.1:4566/000000000000/erp-order-status-queue";
const DEAD_LETTER_QUEUES: &str = "http://127.0.0.1:4566/000000000000/erp-stock-queue-dlq,\
     http://127.0.0.1:4566/000000000000/erp-order-status-queue-dlq";
const EVERY_TABLE: &str = "erp-auth,erp-contact,erp-inventory,erp-sales,erp-purchase";
const TOPICS: [(&str, &str); 5] = [
    ("AUTH_TOPIC_ARN", "arn:aws:sns:us-east-1:000000000000:erp-auth-events"),
    ("CONTACT_TOPIC_ARN", "arn:aws:sns:us-east-1:000000000000:erp-contact-events"),
    ("INVENTORY_TOPIC_ARN", "arn:aws:sns:us-east-1:000000000000:erp-inventory-events"),
    ("SALES_TOPIC_ARN", "arn:aws:sns:us-east-1:000000000000:erp-sales-events"),
    ("PURCHASE_TOPIC_ARN", "arn:aws:sns:us-east-1:000000000000:erp-purchase-events"),
];

/// Variables that every function has and starts without, with the effect of leaving them out.
const OPTIONAL: [(&str, &str); 2] = [
    ("ALLOW_ORIGIN", "erp_http::App allows every origin if it is not set"),
    ("AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH", "lambda_http leaves the stage in the path if it is not set"),
];

/// Variables that a parameter of the template adds: the binary, the variable, and the condition. A function
/// starts without them.
const CONDITIONAL: [(&str, &str, &str); 1] = [("auth-api", "BOOTSTRAP_SECRET", "HasBootstrapSecret")];

/// Variables that Lambda itself sets in every environment.
const SET_BY_LAMBDA: [&str; 1] = ["AWS_LAMBDA_FUNCTION_NAME"];

/// Starts one process of each function at once. A process that has requested its first event is running
/// afterwards.
async fn start(functions: &[Function], logs: &Path) -> Arc<Functions> {
    // The database has no tables: a function starts all the same, because a failure to preconnect is only
    // logged.
    let endpoint = Dynamo::start().await.endpoint;
    let mut config = Config::new(logs);
    config.warm = true;
    config.init = Duration::from_secs(30);
    config.environment = BTreeMap::from([
        ("AWS_ENDPOINT_URL".to_owned(), endpoint),
        ("AWS_ACCESS_KEY_ID".to_owned(), "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY".to_owned(), "test".to_owned()),
    ]);
    Functions::start(config, functions, executables()).await.unwrap()
}

fn is_running(functions: &Functions, name: &str) -> bool {
    functions.processes().iter().any(|process| process.function == name)
}

fn log(logs: &Path, name: &str) -> String {
    std::fs::read_to_string(logs.join(format!("{name}.log"))).unwrap_or_else(|error| error.to_string())
}

#[tokio::test]
async fn every_function_starts_with_the_variables_of_the_template() {
    let logs = tempfile::tempdir().unwrap();
    let deployment = &Template::committed().deployment;
    let running = start(&deployment.functions, logs.path()).await;
    assert_none(deployment.functions.iter().filter(|function| !is_running(&running, &function.name)).map(
        |function| {
            let Function { logical_id, name, .. } = function;
            format!(
                "add the missing variable to the Environment of {logical_id}: {}",
                log(logs.path(), name).trim()
            )
        },
    ));
    running.stop().await;
}

#[tokio::test]
async fn no_function_starts_without_one_of_its_variables_and_the_log_names_it() {
    let mut incomplete = Vec::new();
    for function in &Template::committed().deployment.functions {
        for variable in function.environment.keys() {
            if OPTIONAL.iter().all(|(optional, _)| optional != variable) {
                let mut function = function.clone();
                function.environment.remove(variable);
                function.name = format!("{}-without-{variable}", function.name);
                function.logical_id.push_str(variable);
                incomplete.push((function, variable));
            }
        }
    }
    let logs = tempfile::tempdir().unwrap();
    let functions: Vec<Function> = incomplete.iter().map(|(function, _)| function.clone()).collect();
    let running = start(&functions, logs.path()).await;
    assert_none(incomplete.iter().filter_map(|(function, variable)| {
        let Function { name, binary, .. } = function;
        if is_running(&running, name) {
            return Some(format!(
                "{binary} starts without {variable}: remove it from its Environment in template.yaml"
            ));
        }
        let log = log(logs.path(), name);
        (!log.contains(variable.as_str()))
            .then(|| format!("the log of {binary} does not name the missing {variable}: {}", log.trim()))
    }));
    running.stop().await;
}

fn every_function_has_exactly_its_variables(template: &Template) -> Vec<String> {
    let mut violations = Vec::new();
    for function in &template.deployment.functions {
        let id = &function.logical_id;
        let Some((_, expected)) = VARIABLES.iter().find(|(binary, _)| *binary == function.binary) else {
            violations.push(format!("add {} to VARIABLES in environment.rs", function.binary));
            continue;
        };
        for (name, value) in *expected {
            let is_set = function.environment.get(*name).is_some_and(|found| {
                if *value == SECRET { found.starts_with(SECRET) } else { found == value }
            });
            if !is_set {
                violations.push(format!("the Environment of {id} needs {name}: {value}"));
            }
        }
        let known = |name: &str| expected.iter().chain(&OPTIONAL).any(|(known, _)| *known == name);
        for name in function.environment.keys().filter(|name| !known(name)) {
            violations.push(format!("remove {name} from the Environment of {id}, or add it to VARIABLES"));
        }
        let conditional = |name: &str| {
            let listed =
                CONDITIONAL.iter().find(|(binary, found, _)| *binary == function.binary && *found == name);
            listed.map(|(_, _, condition)| *condition)
        };
        for (name, value) in variables_as_written(template, id) {
            if value["If"].get(0).and_then(Value::as_str) != conditional(name) {
                violations.push(format!("{name} of {id}: add its condition to CONDITIONAL"));
            }
        }
    }
    for (binary, name, condition) in CONDITIONAL {
        let set = template.function_of_binary(binary).and_then(|function| {
            variables_as_written(template, &function.logical_id).find(|(found, _)| *found == name)
        });
        let without = set.map(|(_, value)| (&value["If"][0], &value["If"][2]));
        if without != Some((&json!(condition), &json!({"Ref": "AWS::NoValue"}))) {
            violations.push(format!("the Environment of {binary} needs {name}, only if {condition}"));
        }
    }
    violations
}

/// Returns the variables of a function as the file defines them, conditional ones included.
fn variables_as_written<'t>(
    template: &'t Template,
    logical_id: &str,
) -> impl Iterator<Item = (&'t str, &'t Value)> {
    let resource = template.resource(logical_id);
    let variables = resource.and_then(|resource| resource.property("/Environment/Variables").as_object());
    variables.into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// The names of variables in string literals, by the folder of the code: `shared`, or a package in
/// `functions/`.
#[derive(Default)]
struct NamesInCode {
    all: BTreeMap<String, BTreeSet<&'static str>>,
    /// Those of `config.rs`, which reads the settings of a package.
    settings: BTreeMap<String, BTreeSet<&'static str>>,
}

fn names_in_code() -> &'static NamesInCode {
    static NAMES: OnceLock<NamesInCode> = OnceLock::new();
    NAMES.get_or_init(|| {
        let is_name = |text: &&str| {
            text.len() > 3 && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        };
        let mut names = NamesInCode::default();
        for source in sources().iter().filter(|source| !source.path.starts_with("localstack")) {
            let depth = if source.path.starts_with("shared") { 1 } else { 2 };
            let folder = source.path.split('/').take(depth).collect::<Vec<_>>().join("/");
            let found: BTreeSet<_> = source
                .code()
                .flat_map(|(_, line)| line.split('"').skip(1).step_by(2))
                .filter(is_name)
                .collect();
            if source.path == format!("{folder}/src/config.rs") {
                names.settings.insert(folder.clone(), found.clone());
            }
            names.all.entry(folder).or_default().extend(found);
        }
        names
    })
}

fn every_variable_is_read_and_every_setting_is_a_variable(template: &Template) -> Vec<String> {
    let NamesInCode { all, settings } = names_in_code();
    let is_in_code = |folder: &str, name: &str| all.get(folder).is_some_and(|names| names.contains(name));
    let (mut violations, mut set) = (Vec::new(), BTreeMap::<&str, BTreeSet<&str>>::new());
    for resource in template.of_type("AWS::Serverless::Function") {
        let folder = resource.property("/CodeUri").as_str().unwrap_or_default();
        let resolved = template.function(&resource.id).environment.keys().map(String::as_str);
        let names = resolved.chain(variables_as_written(template, &resource.id).map(|(name, _)| name));
        for name in names.filter(|name| OPTIONAL.iter().all(|(optional, _)| optional != name)) {
            set.entry(folder).or_default().insert(name);
            if !is_in_code(folder, name) && !is_in_code("shared", name) {
                violations.push(format!("{}: remove {name}, which {folder} does not read", resource.id));
            }
        }
    }
    for (folder, read) in settings {
        for name in
            read.iter().filter(|name| !set.get(folder.as_str()).is_some_and(|set| set.contains(**name)))
        {
            violations.push(format!("{folder}/src/config.rs reads {name}: set it in template.yaml"));
        }
    }
    violations
}

fn functions_behind_the_api_have_the_variables_of_http_responses(template: &Template) -> Vec<String> {
    let routes = &template.deployment.api.routes;
    let functions = template.deployment.functions.iter();
    let behind =
        functions.filter(|function| routes.iter().any(|route| route.function == function.logical_id));
    let violations = behind.flat_map(|function| {
        OPTIONAL.iter().filter(|(name, _)| !function.environment.contains_key(*name)).map(|(name, effect)| {
            format!("add {name} to the Environment of {} or to the Globals: {effect}", function.logical_id)
        })
    });
    violations.collect()
}

#[test]
fn no_function_reads_an_optional_variable_that_is_not_listed() {
    let deployed = sources().iter().filter(|source| !source.path.starts_with("localstack"));
    assert_none(deployed.flat_map(|source| {
        let lines = source.code();
        let names = lines.flat_map(|(line, text)| {
            between(text, ".optional(\"", "\"").into_iter().map(move |name| (line, name))
        });
        let unlisted = names
            .filter(|(_, name)| OPTIONAL.iter().all(|(optional, _)| optional != name))
            .filter(|(_, name)| CONDITIONAL.iter().all(|(_, conditional, _)| conditional != name))
            .filter(|(_, name)| !SET_BY_LAMBDA.contains(name));
        let violation = |(line, name)| {
            format!(
                "{}:{line}: read {name} with Settings::required, or add it to OPTIONAL or CONDITIONAL",
                source.path
            )
        };
        unlisted.map(violation).collect::<Vec<_>>()
    }));
}
