"""The deployed template, expanded by SAM's translator, with evaluated intrinsic functions."""

import json
import re

import boto3

REGION = "us-east-1"
ACCOUNT = "000000000000"


def clients(endpoint, keys=("test", "test")):
    """Returns a factory of service clients; the default keys are those of the account's root user."""
    session = boto3.Session(*keys, region_name=REGION)
    return lambda service: session.client(service, endpoint_url=endpoint)


class Template:
    """The expected resources of a stack, with the physical names of the deployed ones."""

    def __init__(self, client, stack):
        self.client = client
        cloudformation = client("cloudformation")
        body = cloudformation.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
        self.body = json.loads(body if isinstance(body, str) else json.dumps(body))
        described = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        self.parameters = {given["ParameterKey"]: given["ParameterValue"] for given in described["Parameters"]}
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
        self.stack = stack
        self.names = {}
        for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack):
            for resource in page["StackResourceSummaries"]:
                self.names[resource["LogicalResourceId"]] = resource["PhysicalResourceId"]

    def resources(self):
        """Logical name, type and properties of each resource whose condition is true."""
        for logical, resource in self.body["Resources"].items():
            if "Condition" not in resource or self.holds(resource["Condition"]):
                yield logical, resource["Type"], self.value(resource.get("Properties", {}))

    def holds(self, condition):
        """Evaluates a condition, given by name or inline."""
        if isinstance(condition, str):
            return self.holds(self.body["Conditions"][condition])
        (function, arguments), = condition.items()
        match function:
            case "Fn::Equals":
                left, right = (self.value(argument) for argument in arguments)
                return left == right
            case "Fn::Not":
                return not self.holds(arguments[0])
            case "Fn::And":
                return all(self.holds(argument) for argument in arguments)
            case "Fn::Or":
                return any(self.holds(argument) for argument in arguments)
            case "Condition":
                return self.holds(arguments)
        raise ValueError(f"unknown condition function: {function}")

    def value(self, node):
        """Evaluates the functions in a property; `AWS::NoValue` removes it."""
        if isinstance(node, list):
            return [value for value in map(self.value, node) if value is not None]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (function, argument), = node.items()
            match function:
                case "Ref":
                    return self.reference(argument)
                case "Fn::GetAtt":
                    logical, attribute = argument if isinstance(argument, list) else argument.split(".", 1)
                    return self.attribute(logical, attribute)
                case "Fn::Sub":
                    return self.substituted(argument)
                case "Fn::Join":
                    return argument[0].join(str(part) for part in self.value(argument[1]))
                case "Fn::If":
                    return self.value(argument[1] if self.holds(argument[0]) else argument[2])
        values = {name: self.value(value) for name, value in node.items()}
        return {name: value for name, value in values.items() if value is not None}

    def reference(self, name):
        pseudo = {
            "AWS::StackName": self.stack, "AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com", "AWS::NoValue": None,
        }
        if name in pseudo:
            return pseudo[name]
        return self.parameters[name] if name in self.parameters else self.names.get(name, f"not created: {name}")

    def attribute(self, logical, attribute):
        kind, name = self.body["Resources"][logical]["Type"], self.reference(logical)
        service = {
            "AWS::CloudWatch::Alarm": "cloudwatch:%s:alarm:",
            "AWS::DynamoDB::Table": "dynamodb:%s:table/",
            "AWS::Lambda::Function": "lambda:%s:function:",
            "AWS::SQS::Queue": "sqs:%s:",
            "AWS::Logs::LogGroup": "logs:%s:log-group:",
            "AWS::IAM::Role": "iam::%s:role/",
            "AWS::KMS::Key": "kms:%s:key/",
        }.get(kind)
        name = name.rsplit("/", 1)[-1] if kind == "AWS::SQS::Queue" else name
        if attribute == "Arn" and kind == "AWS::IAM::Role":
            return f"arn:aws:iam::{ACCOUNT}:role/{name}"
        if attribute == "StreamArn":
            return self.client("dynamodb").describe_table(TableName=name)["Table"]["LatestStreamArn"]
        if attribute == "Arn" and service:
            # The ARN of a log group includes its streams.
            suffix = ":*" if kind == "AWS::Logs::LogGroup" else ""
            return f"arn:aws:{service.replace('%s', f'{REGION}:{ACCOUNT}')}{name}{suffix}"
        return name if attribute in {"QueueName", "TopicName"} else f"{name}.{attribute}"

    def substituted(self, argument):
        text, given = (argument, {}) if isinstance(argument, str) else argument

        def replaced(match):
            name = match.group(1)
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in given:
                return str(self.value(given[name]))
            return str(self.attribute(*name.split(".", 1)) if "." in name else self.reference(name))

        return re.sub(r"\$\{([^}]+)\}", replaced, text)
