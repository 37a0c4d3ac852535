"""Compares the deployed resources with the template through the API of each service, because an emulator can report
`CREATE_COMPLETE` for an incomplete stack."""

import collections
import json

METHODS = {"get", "post", "put", "delete", "patch", "head", "options", "x-amazon-apigateway-any-method"}


def check(client, template):
    """Returns the number of resources per type, and a list of missing or different ones."""
    found = Deployed(client, template)
    counts, problems = collections.Counter(), []
    for logical, kind, properties in template.resources():
        compare = COMPARISONS.get(kind)
        if compare is None:
            problems.append(f"{logical}: no comparison for {kind}; add it to {__file__}")
            continue
        try:
            expected, observed = compare(found, properties, template.names.get(logical, f"not created: {logical}"))
        except Exception as error:  # Services report a missing resource with different errors.
            problems.append(f"{logical}: {kind} not found: {error}")
            continue
        counts[kind.removeprefix("AWS::")] += 1
        if kind == "AWS::ApiGateway::RestApi":
            counts["routes"] += len(expected["routes"])
        problems += differences(logical, expected, {name: observed.get(name) for name in expected})
    return counts, problems


def differences(name, expected, observed):
    """The smallest parts that differ, because a whole dashboard would be too long for a message."""
    if isinstance(expected, dict) and isinstance(observed, dict) and expected.keys() == observed.keys():
        parts = [(key, expected[key], observed[key]) for key in expected]
    elif isinstance(expected, list) and isinstance(observed, list) and len(expected) == len(observed):
        parts = zip(range(len(expected)), expected, observed)
    else:
        return [] if expected == observed else [f"{name}: expected {expected}, found {observed}"]
    return [part for key, left, right in parts for part in differences(f"{name}.{key}", left, right)]


class Deployed:
    """The deployed resources, read from the services; one comparison (expected, observed) per resource type."""

    def __init__(self, client, template):
        self.client, self.template = client, template
        self.clients = {}

    def __getattr__(self, service):
        if service not in self.clients:
            self.clients[service] = self.client(service.replace("_", "-"))
        return self.clients[service]

    def table(self, expected, name):
        table = self.dynamodb.describe_table(TableName=name)["Table"]
        live = self.dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        backups = self.dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        recovery = backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
        return {
            "keys": expected["KeySchema"],
            "attributes": by(expected["AttributeDefinitions"], "AttributeName"),
            "indexes": indexes(expected.get("GlobalSecondaryIndexes", [])),
            "stream": expected.get("StreamSpecification", {}).get("StreamViewType"),
            "time to live": expected["TimeToLiveSpecification"]["AttributeName"],
            "recovery": expected["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"],
            "protection": truth(expected["DeletionProtectionEnabled"]),
            "billing": expected["BillingMode"],
        }, {
            "keys": table["KeySchema"],
            "attributes": by(table["AttributeDefinitions"], "AttributeName"),
            "indexes": indexes(table.get("GlobalSecondaryIndexes", [])),
            "stream": table.get("StreamSpecification", {}).get("StreamViewType"),
            "time to live": live.get("AttributeName"),
            "recovery": recovery,
            "protection": table.get("DeletionProtectionEnabled"),
            "billing": table["BillingModeSummary"]["BillingMode"],
        }

    def function(self, expected, name):
        function = self._lambda.get_function_configuration(FunctionName=name)
        reserved = self._lambda.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
        secret = "{{resolve:secretsmanager"
        environment = expected["Environment"]["Variables"]
        observed = function["Environment"]["Variables"]
        return {
            **{name: expected[name] for name in ("FunctionName", "Runtime", "MemorySize", "Timeout", "Architectures")},
            # The value of a secret is not in the template; only its presence is compared.
            "environment": {key: value if secret not in str(value) else "…" for key, value in environment.items()},
            "reserved": expected.get("ReservedConcurrentExecutions"),
            "tracing": expected["TracingConfig"]["Mode"],
            "role": expected["Role"],
            "log group": expected["LoggingConfig"]["LogGroup"],
            "has code": True,
        }, {
            **{name: function[name] for name in ("FunctionName", "Runtime", "MemorySize", "Timeout", "Architectures")},
            "environment": {
                key: "…" if secret in str(environment.get(key)) and secret not in value and value else value
                for key, value in observed.items()
            },
            "reserved": reserved,
            "tracing": function["TracingConfig"]["Mode"],
            "role": function["Role"],
            "log group": function.get("LoggingConfig", {}).get("LogGroup"),
            "has code": function["CodeSize"] > 100_000,
        }

    def mapping(self, expected, identifier):
        mapping = self._lambda.get_event_source_mapping(UUID=identifier)
        names = [
            "BatchSize", "FunctionResponseTypes", "FilterCriteria", "ScalingConfig", "ParallelizationFactor",
            "BisectBatchOnFunctionError", "StartingPosition", "MaximumBatchingWindowInSeconds",
            "MaximumRecordAgeInSeconds", "MaximumRetryAttempts", "DestinationConfig",
        ]
        return {
            **{name: expected[name] for name in names if name in expected},
            "source": expected["EventSourceArn"],
            "function": expected["FunctionName"].rsplit("function:", 1)[-1],
            "state": "Enabled",
        }, {
            **{name: mapping.get(name) for name in names},
            "source": mapping["EventSourceArn"],
            "function": mapping["FunctionArn"].rsplit("function:", 1)[-1],
            "state": mapping["State"],
        }

    def version(self, expected, arn):
        function, version = arn.rsplit(":", 1)
        found = self._lambda.get_function_configuration(FunctionName=function, Qualifier=version)
        return {"version": version}, {"version": found["Version"]}

    def alias(self, expected, arn):
        function, name = expected["FunctionName"], expected["Name"]
        found = self._lambda.get_alias(FunctionName=function, Name=name)
        version = str(expected["FunctionVersion"]).removesuffix(".Version").rsplit(":", 1)[-1]
        return {"version": version}, {"version": found["FunctionVersion"]}

    def permission(self, expected, _):
        function, _, alias = expected["FunctionName"].rsplit("function:", 1)[-1].partition(":")
        asked = {"FunctionName": function, **({"Qualifier": alias} if alias else {})}
        policy = json.loads(self._lambda.get_policy(**asked)["Policy"])
        principals = [str(statement["Principal"]) for statement in policy["Statement"]]
        allowed = any(expected["Principal"] in principal for principal in principals)
        return {"allowed": True}, {"allowed": allowed}

    def queue(self, expected, url):
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        names = ["VisibilityTimeout", "MessageRetentionPeriod", "SqsManagedSseEnabled", "KmsMasterKeyId"]
        wanted = {name: lower(expected[name]) for name in names if name in expected}
        redrive = json.loads(found.get("RedrivePolicy", "{}"))
        redrive = {name: str(value) for name, value in redrive.items()}
        return {
            **wanted,
            "name": expected["QueueName"],
            "redrive": {name: str(value) for name, value in expected.get("RedrivePolicy", {}).items()},
        }, {
            **{name: found.get(name) for name in wanted},
            "name": found["QueueArn"].rsplit(":", 1)[-1],
            "redrive": redrive,
        }

    def queue_policy(self, expected, _):
        policies = []
        for url in expected["Queues"]:
            found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]
            policies.append(json.loads(found["Policy"]))
        return {"policies": [expected["PolicyDocument"]] * len(policies)}, {"policies": policies}

    def topic(self, expected, arn):
        found = self.sns.get_topic_attributes(TopicArn=arn)["Attributes"]
        return {"name": expected["TopicName"], "key": expected.get("KmsMasterKeyId")}, {
            "name": found["TopicArn"].rsplit(":", 1)[-1], "key": found.get("KmsMasterKeyId"),
        }

    def topic_policy(self, expected, _):
        policies = []
        for arn in expected["Topics"]:
            policies.append(json.loads(self.sns.get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"]))
        return {"policies": [expected["PolicyDocument"]] * len(policies)}, {"policies": policies}

    def subscription(self, expected, arn):
        listed = self.sns.list_subscriptions_by_topic(TopicArn=expected["TopicArn"])["Subscriptions"]
        listed = next(one for one in listed if one["SubscriptionArn"] == arn)
        found = self.sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
        return {
            "endpoint": expected["Endpoint"], "protocol": expected["Protocol"],
            "raw": expected.get("RawMessageDelivery", False), "filter": expected.get("FilterPolicy", {}),
            "redrive": expected.get("RedrivePolicy", {}),
        }, {
            "endpoint": listed["Endpoint"], "protocol": listed["Protocol"],
            "raw": truth(found.get("RawMessageDelivery", "false")), "filter": json.loads(found.get("FilterPolicy") or "{}"),
            "redrive": json.loads(found.get("RedrivePolicy") or "{}"),
        }

    def api(self, expected, identifier):
        described = expected["Body"]
        scheme = described["securityDefinitions"]
        wanted = {}
        for path, methods in described["paths"].items():
            for method, operation in methods.items():
                if method not in METHODS:
                    continue
                names = {name for need in operation.get("security", []) for name in need}
                authorized = bool(names & scheme.keys())
                uri = (operation.get("x-amazon-apigateway-integration") or {}).get("uri", "")
                name = "ANY" if "any-method" in method else method.upper()
                wanted[f"{name} {path}"] = (authorized, function_of(uri))
        routes = {}
        for page in self.apigateway.get_paginator("get_resources").paginate(restApiId=identifier, embed=["methods"]):
            for resource in page["items"]:
                for name, method in resource.get("resourceMethods", {}).items():
                    authorized = method["authorizationType"] == "CUSTOM" and bool(method.get("authorizerId"))
                    uri = (method.get("methodIntegration") or {}).get("uri") or ""
                    routes[f"{name} {resource['path']}"] = (authorized, function_of(uri))
        responses = self.apigateway.get_gateway_responses(restApiId=identifier)["items"]
        changed = {one["responseType"] for one in responses if not one.get("defaultResponse")}
        authorizers = self.apigateway.get_authorizers(restApiId=identifier)["items"]
        return {
            "routes": wanted,
            "gateway responses": set(described["x-amazon-apigateway-gateway-responses"]),
            "authorizers": {
                name: one["x-amazon-apigateway-authorizer"]["authorizerResultTtlInSeconds"]
                for name, one in scheme.items()
            },
        }, {
            "routes": routes,
            "gateway responses": changed,
            "authorizers": {one["name"]: one["authorizerResultTtlInSeconds"] for one in authorizers},
        }

    def stage(self, expected, name):
        found = self.apigateway.get_stage(restApiId=expected["RestApiId"], stageName=expected["StageName"])
        limits = {
            (setting["ResourcePath"], setting["HttpMethod"]): setting["ThrottlingRateLimit"]
            for setting in expected["MethodSettings"]
        }
        observed = {}
        for path, setting in found.get("methodSettings", {}).items():
            resource, _, method = path.rpartition("/")
            observed[f"/{resource.lstrip('/')}", method] = setting.get("throttlingRateLimit")
        return {
            "limits": limits, "tracing": expected["TracingEnabled"], "log": expected["AccessLogSetting"]["Format"],
        }, {
            "limits": observed, "tracing": found.get("tracingEnabled"),
            "log": found.get("accessLogSettings", {}).get("format"),
        }

    def deployment(self, expected, identifier):
        found = self.apigateway.get_deployment(restApiId=expected["RestApiId"], deploymentId=identifier)
        return {"id": identifier}, {"id": found["id"]}

    def alarm(self, expected, name):
        found = self.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
        names = ["Namespace", "MetricName", "Threshold", "Period", "EvaluationPeriods", "ComparisonOperator",
                 "TreatMissingData", "Statistic", "ExtendedStatistic", "AlarmActions"]
        return {name: expected[name] for name in names if name in expected}, found

    def dashboard(self, expected, name):
        found = self.cloudwatch.get_dashboard(DashboardName=name)
        return {"body": json.loads(expected["DashboardBody"])}, {"body": json.loads(found["DashboardBody"])}

    def role(self, expected, name):
        inline = self.iam.list_role_policies(RoleName=name)["PolicyNames"]
        attached = self.iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        documents = [self.iam.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"] for one in inline]
        return {
            "policies": in_order(policy["PolicyDocument"] for policy in expected.get("Policies", [])),
            "managed": sorted(expected.get("ManagedPolicyArns", [])),
        }, {
            "policies": in_order(documents),
            "managed": sorted(policy["PolicyArn"] for policy in attached),
        }

    def rule(self, expected, name):
        name = name.rsplit("/", 1)[-1]
        rule, targets = self.events.describe_rule(Name=name), self.events.list_targets_by_rule(Rule=name)["Targets"]
        return {
            "schedule": expected["ScheduleExpression"], "targets": [target["Arn"] for target in expected["Targets"]],
            "state": "ENABLED",
        }, {
            "schedule": rule["ScheduleExpression"], "targets": [target["Arn"] for target in targets],
            "state": rule["State"],
        }

    def log_group(self, expected, name):
        groups = self.logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        group = next(group for group in groups if group["logGroupName"] == name)
        return {"retention": int(expected["RetentionInDays"]), "key": expected.get("KmsKeyId")}, {
            "retention": group.get("retentionInDays"), "key": group.get("kmsKeyId"),
        }

    def secret(self, expected, arn):
        value = self.secretsmanager.get_secret_value(SecretId=arn)["SecretString"]
        generate = expected["GenerateSecretString"]
        if "GenerateStringKey" not in generate:
            return {"length": generate["PasswordLength"]}, {"length": len(value)}
        value = json.loads(value)
        return {"names": {*json.loads(generate["SecretStringTemplate"]), generate["GenerateStringKey"]},
                "length": generate["PasswordLength"]}, {
            "names": set(value), "length": len(value[generate["GenerateStringKey"]])}

    def key(self, expected, identifier):
        policy = json.loads(self.kms.get_key_policy(KeyId=identifier, PolicyName="default")["Policy"])
        rotates = self.kms.get_key_rotation_status(KeyId=identifier)["KeyRotationEnabled"]
        return {"policy": expected["KeyPolicy"], "rotates": truth(expected["EnableKeyRotation"])}, {
            "policy": policy, "rotates": rotates,
        }

    def key_alias(self, expected, name):
        aliases = by(self.kms.list_aliases()["Aliases"], "AliasName")
        return {"key": expected["TargetKeyId"]}, {"key": aliases[expected["AliasName"]].get("TargetKeyId")}

    def account(self, expected, _):
        return {"role": expected["CloudWatchRoleArn"]}, {"role": self.apigateway.get_account().get("cloudwatchRoleArn")}

    @property
    def _lambda(self):
        return self.__getattr__("lambda")


def by(entries, name):
    return {entry[name]: entry for entry in entries}


def indexes(entries):
    described = {}
    for entry in entries:
        projection = entry["Projection"]
        others = sorted(projection.get("NonKeyAttributes", []))
        described[entry["IndexName"]] = (entry["KeySchema"], projection["ProjectionType"], others)
    return described


def in_order(documents):
    return sorted((json.dumps(document, sort_keys=True) for document in documents))


def lower(value):
    """A boolean as SQS writes it; another value as text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def truth(value):
    return value if isinstance(value, bool) else str(value).lower() == "true"


def function_of(uri):
    return uri.rsplit(":function:", 1)[-1].removesuffix("/invocations") if ":function:" in uri else ""


COMPARISONS = {
    "AWS::ApiGateway::Account": Deployed.account,
    "AWS::ApiGateway::Deployment": Deployed.deployment,
    "AWS::ApiGateway::RestApi": Deployed.api,
    "AWS::ApiGateway::Stage": Deployed.stage,
    "AWS::CloudWatch::Alarm": Deployed.alarm,
    "AWS::CloudWatch::Dashboard": Deployed.dashboard,
    "AWS::DynamoDB::Table": Deployed.table,
    "AWS::Events::Rule": Deployed.rule,
    "AWS::IAM::Role": Deployed.role,
    "AWS::KMS::Alias": Deployed.key_alias,
    "AWS::KMS::Key": Deployed.key,
    "AWS::Lambda::Alias": Deployed.alias,
    "AWS::Lambda::EventSourceMapping": Deployed.mapping,
    "AWS::Lambda::Function": Deployed.function,
    "AWS::Lambda::Permission": Deployed.permission,
    "AWS::Lambda::Version": Deployed.version,
    "AWS::Logs::LogGroup": Deployed.log_group,
    "AWS::SecretsManager::Secret": Deployed.secret,
    "AWS::SNS::Subscription": Deployed.subscription,
    "AWS::SNS::Topic": Deployed.topic,
    "AWS::SNS::TopicPolicy": Deployed.topic_policy,
    "AWS::SQS::Queue": Deployed.queue,
    "AWS::SQS::QueuePolicy": Deployed.queue_policy,
}
