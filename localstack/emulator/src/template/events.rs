//! The events of a function: routes of the API, and triggers (queues, streams and schedules).

use std::time::Duration;

use serde_json::Value;

use crate::arn;
use crate::broker::filter;
use crate::deployment::{Route, Trigger, TriggerSource};

use super::properties::Properties;
use super::scope::Scope;

/// A function's event.
#[derive(Debug)]
pub(crate) enum Event {
    Route(Route),
    Trigger(Trigger),
}

/// The authorizer of an Api event without authorization.
const NO_AUTHORIZER: &str = "NONE";

/// Reads one event; `None` if it is disabled or invalid.
pub(crate) fn read(
    function: &str,
    name: &str,
    mut event: Properties<'_>,
    scope: &Scope<'_>,
) -> Option<Event> {
    let kind = event.required_string("Type")?;
    let properties = event.object("Properties");
    let mut properties = match properties {
        Some(properties) => properties,
        None => {
            event.report("has no Properties");
            return None;
        }
    };
    let source = match kind.as_str() {
        "Api" => {
            event.finish();
            return route(function, properties, scope).map(Event::Route);
        }
        "SQS" => queue(&mut properties),
        "DynamoDB" => stream(&mut properties),
        "Schedule" => schedule(&mut properties, "Schedule"),
        "ScheduleV2" => schedule(&mut properties, "ScheduleExpression"),
        other => {
            event.report_at("Type", format!("{other} is not a supported event type"));
            return None;
        }
    };
    let enabled = properties.boolean("Enabled").unwrap_or(true);
    properties.finish();
    event.finish();
    let trigger = Trigger { function: function.to_owned(), name: name.to_owned(), source: source? };
    enabled.then_some(Event::Trigger(trigger))
}

fn route(function: &str, mut properties: Properties<'_>, scope: &Scope<'_>) -> Option<Route> {
    let api = properties.required_string("RestApiId");
    if let Some(api) = api.filter(|api| scope.resources.values().all(|known| known.reference != *api)) {
        properties.report_at("RestApiId", format!("{api} is not an API of this template"));
    }
    let path = properties.required_string("Path");
    let method = properties.required_string("Method").map(|method| method.to_ascii_uppercase());
    let mut authorizer = None;
    if let Some(mut auth) = properties.object("Auth") {
        authorizer = auth.string("Authorizer");
        auth.finish();
    }
    const METHODS: [&str; 8] = ["ANY", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    if let Some(method) = method.as_deref().filter(|method| !METHODS.contains(method)) {
        properties.report_at("Method", format!("{method} is not an HTTP method"));
    }
    if let Some(path) = path.as_deref()
        && let Err(message) = check_path(path)
    {
        properties.report_at("Path", message);
    }
    // There is only the API's default authorizer.
    if let Some(name) = authorizer.as_deref().filter(|name| *name != NO_AUTHORIZER) {
        properties.report_at(
            "Auth",
            format!("names the authorizer {name}; only the API's default and NONE are supported"),
        );
    }
    properties.finish();
    Some(Route {
        method: method?,
        path: path?,
        function: function.to_owned(),
        authorized: authorizer.is_none(),
    })
}

/// Validates a path of API Gateway: `{name}` is a whole segment, and `{name+}` the last one.
fn check_path(path: &str) -> Result<(), String> {
    let Some(rest) = path.strip_prefix('/') else {
        return Err(format!("{path} does not start with /"));
    };
    let segments: Vec<&str> = rest.split('/').collect();
    for (i, segment) in segments.iter().enumerate() {
        let last = i + 1 == segments.len();
        let name = match segment.strip_prefix('{').and_then(|tail| tail.strip_suffix('}')) {
            Some(name) => name,
            None if segment.contains(['{', '}']) => {
                return Err(format!("{segment} contains a parameter; a parameter must be a whole segment"));
            }
            None if segment.is_empty() && !(last && i == 0) => {
                return Err(format!("{path} has an empty segment"));
            }
            None => continue,
        };
        if name.ends_with('+') && !last {
            return Err(format!("{segment} matches the rest of the path, but is not its last segment"));
        }
        let plain = name.trim_end_matches('+');
        if plain.is_empty() || !plain.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
            return Err(format!("{segment} is not a valid parameter of API Gateway"));
        }
    }
    Ok(())
}

fn queue(properties: &mut Properties<'_>) -> Option<TriggerSource> {
    let queue_arn = properties.required_string("Queue");
    let batch_size = properties.number("BatchSize").unwrap_or(10);
    let window = properties.number("MaximumBatchingWindowInSeconds").unwrap_or(0);
    let mut maximum_concurrency = None;
    if let Some(mut scaling) = properties.object("ScalingConfig") {
        maximum_concurrency = scaling.number::<usize>("MaximumConcurrency");
        if maximum_concurrency.is_some_and(|maximum| maximum < 2) {
            scaling.report_at("MaximumConcurrency", "must be at least 2");
        }
        scaling.finish();
    }
    if batch_size > 10 && window == 0 {
        properties.report_at("BatchSize", "above 10 needs a MaximumBatchingWindowInSeconds");
    }
    Some(TriggerSource::Queue {
        batch_size,
        batching_window: Duration::from_secs(window),
        maximum_concurrency,
        report_item_failures: response_types(properties),
        queue_arn: queue_arn?,
    })
}

fn stream(properties: &mut Properties<'_>) -> Option<TriggerSource> {
    let stream = properties.required_string("Stream");
    if let Some(start) =
        properties.required_string("StartingPosition").filter(|start| start != "TRIM_HORIZON")
    {
        properties.report_at("StartingPosition", format!("{start} is not supported; TRIM_HORIZON is"));
    }
    let batch_size = properties.number("BatchSize").unwrap_or(100);
    let bisect = properties.boolean("BisectBatchOnFunctionError").unwrap_or(false);
    // -1 means no limit, as does a missing value.
    let maximum_retries = match properties.value("MaximumRetryAttempts") {
        None => None,
        Some(value) if value == -1 => None,
        Some(value) => {
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
            if number.is_none() {
                properties
                    .report_at("MaximumRetryAttempts", format!("must be a whole number, but is {value}"));
            }
            number
        }
    };
    let filters = properties.object("FilterCriteria").map(filters).unwrap_or_default();
    // A shard has one reader, which keeps the order of records. A batching window would only add a delay.
    properties.ignore(&["ParallelizationFactor", "MaximumBatchingWindowInSeconds"]);
    let report_item_failures = response_types(properties);
    let stream = stream?;
    if !stream.contains("/stream/") {
        properties.report_at("Stream", format!("{stream} is not the ARN of a table's stream"));
    }
    Some(TriggerSource::Stream {
        table: arn::table_name(&stream).to_owned(),
        batch_size,
        filters,
        report_item_failures,
        bisect,
        maximum_retries,
    })
}

fn filters(mut criteria: Properties<'_>) -> Vec<Value> {
    let mut patterns = Vec::new();
    for mut criterion in criteria.objects("Filters").unwrap_or_default() {
        if let Some(text) = criterion.required_string("Pattern") {
            match serde_json::from_str::<Value>(&text) {
                Ok(pattern) => match filter::validate(&pattern) {
                    Ok(()) => patterns.push(pattern),
                    Err(reason) => criterion.report_at("Pattern", reason),
                },
                Err(error) => criterion.report_at("Pattern", format!("is not JSON: {error}")),
            }
        }
        criterion.finish();
    }
    criteria.finish();
    patterns
}

/// Returns `true` if `ReportBatchItemFailures` is among the response types.
fn response_types(properties: &mut Properties<'_>) -> bool {
    let types = properties.strings("FunctionResponseTypes").unwrap_or_default();
    for other in types.iter().filter(|name| *name != "ReportBatchItemFailures") {
        properties.report_at("FunctionResponseTypes", format!("{other} is not supported"));
    }
    !types.is_empty()
}

fn schedule(properties: &mut Properties<'_>, expression: &'static str) -> Option<TriggerSource> {
    let text = properties.required_string(expression);
    let input = properties.string("Input");
    properties.ignore(&["Name", "Description", "RetryPolicy", "FlexibleTimeWindow"]);
    let text = text?;
    let every = rate(&text);
    if every.is_none() {
        properties.report_at(expression, format!("{text} is not supported; rate(<n> minutes|hours|days) is"));
    }
    Some(TriggerSource::Schedule { every: every?, input })
}

/// Parses a rate such as `rate(5 minutes)`.
fn rate(text: &str) -> Option<Duration> {
    let (number, unit) = text.strip_prefix("rate(")?.strip_suffix(')')?.trim().split_once(' ')?;
    let number: u64 = number.parse().ok().filter(|number| *number > 0)?;
    let seconds = match unit.trim() {
        "minute" | "minutes" => 60,
        "hour" | "hours" => 3_600,
        "day" | "days" => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_validated_as_in_api_gateway() {
        for good in ["/", "/health", "/api/items/{id}/stock", "/swagger/{proxy+}"] {
            assert_eq!(check_path(good), Ok(()), "{good}");
        }
        for bad in ["health", "/a//b", "/a/", "/{id}x", "/{proxy+}/more", "/{}", "/{a b}"] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rate_is_parsed_as_a_duration() {
        assert_eq!(rate("rate(5 minutes)"), Some(Duration::from_secs(300)));
        assert_eq!(rate("rate(1 day)"), Some(Duration::from_secs(86_400)));
        for bad in ["cron(0 0 * * ? *)", "rate(0 minutes)", "rate(1 week)", "rate(minutes)", "5 minutes"] {
            assert_eq!(rate(bad), None, "{bad}");
        }
    }
}
