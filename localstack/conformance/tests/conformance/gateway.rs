//! The API in front of the functions: who gets how much, what is logged of it, how tokens are checked; and the secrets
//! that tokens are made with.

use erp_auth::access::{Access, RULES};
use serde_json::{Value, json};

use crate::world::{Resource, World};

pub(crate) mod holds {
    crate::checks::checks!(
        every_route_has_a_limit_and_what_is_public_a_lower_one,
        requests_are_logged_without_tokens_and_passwords,
        the_account_lets_the_gateway_write_logs,
        the_api_is_what_it_is_said_to_be,
        browsers_may_send_what_the_services_read,
        secrets_are_generated_and_never_written_down,
    );
}

/// What an access log says of each request.
const LOGGED: [(&str, &str); 10] = [
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

fn api(world: &World) -> &Resource {
    world.of_type("AWS::Serverless::Api").next().unwrap_or_else(|| panic!("the template has no API"))
}

fn every_route_has_a_limit_and_what_is_public_a_lower_one(world: &World) -> Vec<String> {
    let settings = api(world).property("/MethodSettings").as_array().cloned().unwrap_or_default();
    // https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-apigateway-stage-methodsetting.html
    let encoded = |path: &str| format!("/{}", path.replace('/', "~1"));
    let limit = |method: &str, path: &str| {
        let setting = settings
            .iter()
            .find(|setting| setting["HttpMethod"] == method && setting["ResourcePath"] == path);
        let [rate, burst] =
            ["ThrottlingRateLimit", "ThrottlingBurstLimit"].map(|name| setting?[name].as_u64());
        rate.zip(burst).filter(|_| setting.is_some_and(|setting| setting["MetricsEnabled"] == true))
    };
    let Some((rate, burst)) = limit("*", "/*") else {
        return vec![
            "MethodSettings: add HttpMethod '*' of ResourcePath /* with its limits and metrics".to_owned(),
        ];
    };
    // What reads is as cheap with a token as without.
    let public = RULES.iter().filter(|rule| rule.access == Access::Public && rule.method != "GET");
    let without = public.filter(|rule| {
        limit(rule.method, &encoded(rule.path))
            .is_none_or(|(own, own_burst)| own >= rate || own_burst >= burst)
    });
    let mut faults: Vec<String> = without
        .map(|rule| {
            format!(
                "MethodSettings: anybody may call {} {}: give {} lower limits than the others, and metrics",
                rule.method,
                rule.path,
                encoded(rule.path)
            )
        })
        .collect();
    for setting in &settings {
        let path = setting["ResourcePath"].as_str().unwrap_or_default();
        if path != "/*" && !RULES.iter().any(|rule| encoded(rule.path) == path) {
            faults.push(format!("MethodSettings: {path} is no route; / is written ~1, but for the first"));
        }
    }
    faults
}

fn requests_are_logged_without_tokens_and_passwords(world: &World) -> Vec<String> {
    let setting = api(world).property("/AccessLogSetting");
    let wanted: Value = LOGGED.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let format = setting["Format"].as_str().and_then(|format| serde_json::from_str::<Value>(format).ok());
    let mut faults = Vec::new();
    if format != Some(wanted) {
        faults.push(format!("AccessLogSetting: its Format must be JSON of {LOGGED:?}"));
    }
    let group = setting["DestinationArn"]["GetAtt"].as_str().and_then(|name| name.strip_suffix(".Arn"));
    let name = group.and_then(|id| world.resource(id)).map(|group| group.property("/LogGroupName").clone());
    if name != Some(json!({"Sub": "/aws/apigateway/${AWS::StackName}"})) {
        faults.push(
            "AccessLogSetting: its DestinationArn must be the group /aws/apigateway/<stack>".to_owned(),
        );
    }
    faults
}

/// API Gateway refuses a stage with an access log as long as the account names no role for it.
fn the_account_lets_the_gateway_write_logs(world: &World) -> Vec<String> {
    let wanted = [
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
    let mut faults = Vec::new();
    for (id, kind, properties) in wanted {
        let wanted = json!({
            "Type": kind,
            "Condition": "MakesGatewayLogsRole",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": properties,
        });
        if world.resource(id).map(|resource| &resource.body) != Some(&wanted) {
            faults.push(format!("{id} must be {wanted}"));
        }
    }
    if api(world).body["DependsOn"] != "ApiGatewayAccount" {
        faults.push("Api: DependsOn must be ApiGatewayAccount, or its stage comes too early".to_owned());
    }
    let condition = &world.document["Conditions"]["MakesGatewayLogsRole"];
    if *condition != json!({"Equals": [{"Ref": "GatewayLogsRole"}, "create"]}) {
        faults.push("MakesGatewayLogsRole must be !Equals [!Ref GatewayLogsRole, create]".to_owned());
    }
    faults
}

fn the_api_is_what_it_is_said_to_be(world: &World) -> Vec<String> {
    let authorizer = json!({
        "FunctionArn": {"Ref": "AuthorizerFunction.Alias"},
        "FunctionPayloadType": "TOKEN",
        "Identity": {"Header": "Authorization", "ReauthorizeEvery": 300},
    });
    let wanted = [
        ("/Name", json!({"Sub": "${AWS::StackName}-api"})),
        ("/StageName", json!({"Ref": "Stage"})),
        ("/EndpointConfiguration", json!({"Type": "REGIONAL"})),
        ("/TracingEnabled", json!(true)),
        ("/Auth/DefaultAuthorizer", json!("JwtAuthorizer")),
        ("/Auth/AddDefaultAuthorizerToCorsPreflight", json!(false)),
        ("/Auth/Authorizers/JwtAuthorizer", authorizer),
    ];
    let api = api(world);
    let faults = wanted.into_iter().filter(|(pointer, wanted)| api.property(pointer) != wanted);
    faults.map(|(pointer, wanted)| format!("{}: {pointer} must be {wanted}", api.id)).collect()
}

fn browsers_may_send_what_the_services_read(world: &World) -> Vec<String> {
    let methods = "'GET,POST,PUT,DELETE,OPTIONS'";
    let headers = "'Authorization,Content-Type,Idempotency-Key,If-Match,X-Request-Id'";
    let wanted = json!({
        "AllowOrigin": {"Sub": "'${AllowOrigin}'"},
        "AllowMethods": methods,
        "AllowHeaders": headers,
        "MaxAge": "'3600'",
    });
    let mut faults = Vec::new();
    if *api(world).property("/Cors") != wanted {
        faults.push(format!("Cors must be {wanted}"));
    }
    for rule in RULES.iter().filter(|rule| !methods.contains(rule.method)) {
        faults.push(format!("Cors: add {} to AllowMethods, for {}", rule.method, rule.path));
    }
    faults
}

fn secrets_are_generated_and_never_written_down(world: &World) -> Vec<String> {
    let mut faults = Vec::new();
    for secret in world.of_type("AWS::SecretsManager::Secret") {
        let id = &secret.id;
        if secret.property("/Description").as_str().is_none_or(str::is_empty) {
            faults.push(format!("{id}: say in Description what it is for"));
        }
        let generated = secret.property("/GenerateSecretString");
        // Anything else makes it another secret than the one that is there, at the next deployment.
        let template = generated["SecretStringTemplate"].as_str().unwrap_or_default();
        let wanted = match id.as_str() {
            "JwtKeys" => (r#"{"kid":"k1","previous_kid":"","previous_key":""}"#, "key", 64),
            "ServiceCredentials" => ("{}", "integration", 48),
            other => {
                faults.push(format!("say here what {other} is made of"));
                continue;
            }
        };
        let is_right = (template, generated["GenerateStringKey"].as_str()) == (wanted.0, Some(wanted.1))
            && generated["PasswordLength"] == wanted.2
            && generated["ExcludePunctuation"] == true;
        if !is_right {
            faults.push(format!("{id}: GenerateSecretString must be of {wanted:?}, without punctuation"));
        }
    }
    if world.of_type("AWS::SecretsManager::Secret").count() != 2 {
        faults.push("the template has two secrets: JwtKeys and ServiceCredentials".to_owned());
    }
    faults
}
