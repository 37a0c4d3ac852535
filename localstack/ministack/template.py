"""The deployed template, as SAM's own translator expanded it, with its functions worked out."""

import json
import re

import boto3

REGION = "us-east-1"
ACCOUNT = "000000000000"


def clients(endpoint, keys=("test", "test")):
    """Makes the client of a service; the keys are those of the emulated account's root unless others are given."""
    session = boto3.Session(*keys, region_name=REGION)
    return lambda service: session.client(service, endpoint_url=endpoint)


class Template:
    """What a stack should consist of. Knows the names that its resources were given, and nothing of how they are."""

    def __init__(self, client, stack):
        cloudformation = client("cloudformation")
        body = cloudformation.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
        self.body = json.loads(body if isinstance(body, str) else json.dumps(body))
        described = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        self.parameters = {given["ParameterKey"]: given["ParameterValue"] for given in described["Parameters"]}
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
        self.stack = stack
        self.names = {}
        for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack):
            for made in page["StackResourceSummaries"]:
                self.names[made["LogicalResourceId"]] = made["PhysicalResourceId"]

    def resources(self):
        """Logical name, type and properties of each resource that the conditions let in."""
        for logical, resource in self.body["Resources"].items():
            if "Condition" not in resource or self.holds(resource["Condition"]):
                yield logical, resource["Type"], self.value(resource.get("Properties", {}))

    def holds(self, condition):
        """Whether a condition, by name or written out, is true."""
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
        raise ValueError(f"an unknown condition: {function}")

    def value(self, node):
        """A property without functions; what says `AWS::NoValue` is left out."""
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
        return self.parameters[name] if name in self.parameters else self.names.get(name, f"not made: {name}")

    def attribute(self, logical, attribute):
        kind, name = self.body["Resources"][logical]["Type"], self.reference(logical)
        service = {
            "AWS::CloudWatch::Alarm": "cloudwatch:%s:alarm:",
            "AWS::DynamoDB::Table": "dynamodb:%s:table/",
            "AWS::Lambda::Function": "lambda:%s:function:",
            "AWS::SQS::Queue": "sqs:%s:",
            "AWS::Logs::LogGroup": "logs:%s:log-group:",
            "AWS::IAM::Role": "iam::%s:role/",
        }.get(kind)
        name = name.rsplit("/", 1)[-1] if kind == "AWS::SQS::Queue" else name
        if attribute == "Arn" and kind == "AWS::IAM::Role":
            return f"arn:aws:iam::{ACCOUNT}:role/{name}"
        if attribute == "Arn" and service:
            return f"arn:aws:{service.replace('%s', f'{REGION}:{ACCOUNT}')}{name}"
        # Others are compared as far as they go: a stream's name ends in the time that it was made.
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
