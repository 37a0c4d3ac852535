//! API Gateway: throttling, access log, authorizer and CORS; and the secrets, which sign tokens among other
//! things.

use erp_auth::access::{Access, RULES};
use serde_json::{Value, json};

use crate::template::{Resource, Template};

pub(crate) mod checks {
    crate::template_checks::register!(
        every_route_is_throttled_and_public_routes_have_lower_limits,
        the_access_log_contains_no_tokens_and_passwords,
        api_gateway_has_a_role_for_logs,
        the_api_has_its_settings,
        cors_allows_the_methods_and_headers_of_the_api,
        secrets_are_generated,
    );
}

/// The fields of the access log.
const LOG_FIELDS: [(&str, &str); 10] = [
    ("request_id", "$context.requestId"),
    ("ip", "$context.identity.sourceIp"),
    ("method", "$context.httpMethod"),
    ("path", "$context.resourcePath"),
    ("status", "$context.status"),
    ("milliseconds", "$context.responseLatency"),
    ("caller", "$context.authorizer.sub"),
    ("role", "$context.authorizer.role"),
    ("error", "$context.error.responseType"),
    ("authorizer_milliseconds", "$context.authorizer.latency"),
];

fn api(template: &Template) -> &Resource {
    template.of_type("AWS::Serverless::Api").next().unwrap_or_else(|| panic!("the template has no API"))
}

fn every_route_is_throttled_and_public_routes_have_lower_limits(template: &Template) -> Vec<String> {
    let settings = api(template).property("/MethodSettings").as_array().cloned().unwrap_or_default();
    // https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-apigateway-stage-methodsetting.html
    let encoded = |path: &str| format!("/{}", path.replace('/', "~1"));
    let limit = |method: &str, path: &str| {
        let setting = settings
            .iter()
            .find(|setting| setting["HttpMethod"] == method && setting["ResourcePath"] == path);
        let [rate, burst] =
            ["ThrottlingRateLimit", "ThrottlingBurstLimit"].map(|name| setting?[name].as_u64());
        rate.zip(burst)
    };
    let Some((rate, burst)) = limit("*", "/*") else {
        return vec!["MethodSettings: add HttpMethod '*' of ResourcePath /* with its limits".to_owned()];
    };
    // Public routes that only read are cheap.
    let public = RULES.iter().filter(|rule| rule.access == Access::Public && rule.method != "GET");
    let without = public.filter(|rule| {
        limit(rule.method, &encoded(rule.path))
            .is_none_or(|(own_rate, own_burst)| own_rate >= rate || own_burst >= burst)
    });
    let mut violations: Vec<String> = without
        .map(|rule| {
            format!(
                "MethodSettings: {} {} is public: give {} lower limits than the default",
                rule.method,
                rule.path,
                encoded(rule.path)
            )
        })
        .collect();
    for setting in &settings {
        // Metrics by method cost per method and month. Alarms and the dashboard read those of the stage.
        if !setting["MetricsEnabled"].is_null() {
            violations.push("MethodSettings: remove MetricsEnabled".to_owned());
        }
        let path = setting["ResourcePath"].as_str().unwrap_or_default();
        if path != "/*" && !RULES.iter().any(|rule| encoded(rule.path) == path) {
            violations.push(format!("MethodSettings: {path} is not a route; every / but the first is ~1"));
        }
    }
    violations
}

fn the_access_log_contains_no_tokens_and_passwords(template: &Template) -> Vec<String> {
    let setting = api(template).property("/AccessLogSetting");
    let expected: Value =
        LOG_FIELDS.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let format = setting["Format"].as_str().and_then(|format| serde_json::from_str::<Value>(format).ok());
    let mut violations = Vec::new();
    if format != Some(expected) {
        violations.push(format!("AccessLogSetting: Format must be JSON of {LOG_FIELDS:?}"));
    }
    let group = setting["DestinationArn"]["GetAtt"].as_str().and_then(|name| name.strip_suffix(".Arn"));
    let name =
        group.and_then(|id| template.resource(id)).map(|group| group.property("/LogGroupName").clone());
    if name != Some(json!({"Sub": "/aws/apigateway/${AWS::StackName}"})) {
        violations
            .push("AccessLogSetting: DestinationArn must be the group /aws/apigateway/<stack>".to_owned());
    }
    violations
}

/// API Gateway rejects a stage with an access log if the account has no role for logs.
fn api_gateway_has_a_role_for_logs(template: &Template) -> Vec<String> {
    let expected = [
        (
            "ApiGatewayLogsRole",
            "AWS::IAM::Role",
            json!({
                "Description": "Lets API Gateway write logs",
                "AssumeRolePolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [{
                        "Effect": "Allow",
                        "Principal": {"Service": "apigateway.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                    }],
                },
                "ManagedPolicyArns": [
                    {"Sub": "arn:${AWS::Partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"}
                ],
            }),
        ),
        (
            "ApiGatewayAccount",
            "AWS::ApiGateway::Account",
            json!({"CloudWatchRoleArn": {"GetAtt": "ApiGatewayLogsRole.Arn"}}),
        ),
    ];
    let mut violations = Vec::new();
    for (id, kind, properties) in expected {
        let expected = json!({
            "Type": kind,
            "Condition": "MakesGatewayLogsRole",
            "DeletionPolicy": "RetainExceptOnCreate",
            "UpdateReplacePolicy": "Retain",
            "Properties": properties,
        });
        if template.resource(id).map(|resource| &resource.body) != Some(&expected) {
            violations.push(format!("{id} must be {expected}"));
        }
    }
    // DependsOn of a resource whose condition is false would drop the API as well.
    let role = json!({"If": ["MakesGatewayLogsRole", {"Ref": "ApiGatewayAccount"}, "exists"]});
    if *api(template).property("/Tags/logging-role") != role || !api(template).body["DependsOn"].is_null() {
        violations.push(format!(
            "Api: the tag logging-role must be {role}, without DependsOn, or the stage may be created first"
        ));
    }
    let condition = &template.document["Conditions"]["MakesGatewayLogsRole"];
    if *condition != json!({"Equals": [{"Ref": "GatewayLogsRole"}, "create"]}) {
        violations.push("MakesGatewayLogsRole must be !Equals [!Ref GatewayLogsRole, create]".to_owned());
    }
    violations
}

fn the_api_has_its_settings(template: &Template) -> Vec<String> {
    let authorizer = json!({
        "FunctionArn": {"Ref": "AuthorizerFunction.Alias"},
        "FunctionPayloadType": "TOKEN",
        "Identity": {"Header": "Authorization", "ReauthorizeEvery": 300},
    });
    let expected = [
        ("/Name", json!({"Sub": "${AWS::StackName}-api"})),
        ("/StageName", json!({"Ref": "Stage"})),
        ("/EndpointConfiguration", json!({"Type": "REGIONAL"})),
        // Any version prevents a second stage without limits and logs.
        ("/OpenApiVersion", json!("2.0")),
        ("/AlwaysDeploy", json!(true)),
        ("/TracingEnabled", json!(true)),
        ("/Auth/DefaultAuthorizer", json!("JwtAuthorizer")),
        ("/Auth/AddDefaultAuthorizerToCorsPreflight", json!(false)),
        ("/Auth/Authorizers/JwtAuthorizer", authorizer),
    ];
    let api = api(template);
    let violations = expected.into_iter().filter(|(pointer, expected)| api.property(pointer) != expected);
    violations.map(|(pointer, expected)| format!("{}: {pointer} must be {expected}", api.id)).collect()
}

fn cors_allows_the_methods_and_headers_of_the_api(template: &Template) -> Vec<String> {
    let methods = "'GET,POST,PUT,DELETE,OPTIONS'";
    let headers = "'Authorization,Content-Type,Idempotency-Key,If-Match,X-Request-Id'";
    let expected = json!({
        "AllowOrigin": {"Sub": "'${AllowOrigin}'"},
        "AllowMethods": methods,
        "AllowHeaders": headers,
        "MaxAge": "'3600'",
    });
    let mut violations = Vec::new();
    if *api(template).property("/Cors") != expected {
        violations.push(format!("Cors must be {expected}"));
    }
    for rule in RULES.iter().filter(|rule| !methods.contains(rule.method)) {
        violations.push(format!("Cors: add {} to AllowMethods, for {}", rule.method, rule.path));
    }
    violations
}

fn secrets_are_generated(template: &Template) -> Vec<String> {
    let mut violations = Vec::new();
    // Another one, with a condition, is in optional_resources.rs.
    let secrets = || {
        let all = template.of_type("AWS::SecretsManager::Secret");
        all.filter(|secret| secret.body["Condition"].is_null())
    };
    for secret in secrets() {
        let id = &secret.id;
        if secret.property("/Description").as_str().is_none_or(str::is_empty) {
            violations.push(format!("{id}: add a Description"));
        }
        let generated = secret.property("/GenerateSecretString");
        // CloudFormation generates a new secret when one of these properties changes.
        let text = generated["SecretStringTemplate"].as_str().unwrap_or_default();
        let expected = match id.as_str() {
            "JwtKeys" => (r#"{"kid":"k1","previous_kid":"","previous_key":""}"#, "key", 64),
            "ServiceCredentials" => ("{}", "integration", 48),
            other => {
                violations.push(format!("add the properties of {other} to this check"));
                continue;
            }
        };
        let is_expected = (text, generated["GenerateStringKey"].as_str()) == (expected.0, Some(expected.1))
            && generated["PasswordLength"] == expected.2
            && generated["ExcludePunctuation"] == true;
        if !is_expected {
            violations
                .push(format!("{id}: GenerateSecretString must be of {expected:?}, without punctuation"));
        }
    }
    if secrets().count() != 2 {
        violations.push("the template must have two secrets: JwtKeys and ServiceCredentials".to_owned());
    }
    violations
}
