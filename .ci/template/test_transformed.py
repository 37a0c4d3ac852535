"""Tests of the transformed template: what CloudFormation gets, which the source does not show."""

import json
import pathlib
import re
import unittest

from transform import SETS, transform

FOLDER = pathlib.Path("target/template")
# By set of parameters; written by transform.py.
TEMPLATES = {name: json.loads((FOLDER / f"{name}.json").read_text()) for name in SETS}


def of_type(template, kind):
    """The resources of a type, by logical id."""
    return {name: body for name, body in template["Resources"].items() if body["Type"] == kind}


def holds(template, condition):
    """Evaluates a condition, given by name or inline, with the default values of the parameters."""
    if isinstance(condition, str):
        return holds(template, template["Conditions"][condition])
    ((function, arguments),) = condition.items()
    match function:
        case "Fn::Equals":
            left, right = (
                template["Parameters"][side["Ref"]]["Default"] if isinstance(side, dict) else side for side in arguments
            )
            return left == right
        case "Fn::Not":
            return not holds(template, arguments[0])
        case "Fn::And":
            return all(holds(template, argument) for argument in arguments)
        case "Condition":
            return holds(template, arguments)
    raise ValueError(f"unknown condition function: {function}")


def deployed(template):
    """The resources whose condition is true, by logical id."""
    resources = template["Resources"].items()
    return {name: body for name, body in resources if "Condition" not in body or holds(template, body["Condition"])}


def references(template, node):
    """The logical ids that a value refers to."""
    if isinstance(node, list):
        return {name for part in node for name in references(template, part)}
    if not isinstance(node, dict):
        return set()
    if "Fn::If" in node:
        condition, yes, no = node["Fn::If"]
        return references(template, yes if holds(template, condition) else no)
    if "Ref" in node:
        return {node["Ref"]}
    if "Fn::GetAtt" in node:
        target = node["Fn::GetAtt"]
        return {target[0] if isinstance(target, list) else target.split(".")[0]}
    if "Fn::Sub" in node:
        text = node["Fn::Sub"] if isinstance(node["Fn::Sub"], str) else node["Fn::Sub"][0]
        return {name.split(".")[0] for name in re.findall(r"\$\{([^}!]+)\}", text)}
    return {name for part in node.values() for name in references(template, part)}


class TransformedTemplate(unittest.TestCase):
    def test_there_is_one_stage_with_limits_access_log_and_traces(self):
        for template in TEMPLATES.values():
            (stage,) = of_type(template, "AWS::ApiGateway::Stage").values()
            properties = stage["Properties"]
            self.assertEqual(properties["StageName"], {"Ref": "Stage"})
            self.assertTrue(properties["TracingEnabled"])
            self.assertEqual(properties["AccessLogSetting"]["DestinationArn"], {"Fn::GetAtt": ["ApiAccessLogs", "Arn"]})
            every_route = next(one for one in properties["MethodSettings"] if one["ResourcePath"] == "/*")
            self.assertEqual((every_route["ThrottlingRateLimit"], every_route["ThrottlingBurstLimit"]), (200, 400))
            # A deployment with the name of a stage creates that stage.
            for deployment in of_type(template, "AWS::ApiGateway::Deployment").values():
                self.assertNotIn("StageName", deployment["Properties"])

    def test_every_transformation_has_another_deployment_of_the_api(self):
        """So a changed parameter reaches the stage: its value is not in the text of the template."""
        again = transform(SETS["default"])
        first, second = (set(of_type(one, "AWS::ApiGateway::Deployment")) for one in (TEMPLATES["default"], again))
        self.assertEqual(len(first), 1)
        self.assertNotEqual(first, second)

    def test_no_resource_depends_on_one_that_does_not_exist(self):
        """CloudFormation would not create the dependent resource, or refuse the reference."""
        for name, template in TEMPLATES.items():
            resources = deployed(template)
            for logical, body in resources.items():
                depends = body.get("DependsOn", [])
                depends = {depends} if isinstance(depends, str) else set(depends)
                needed = (depends | references(template, body.get("Properties", {}))) & template["Resources"].keys()
                self.assertLessEqual(needed, resources.keys(), f"{logical} with the parameters of {name}")

    def test_each_condition_is_true_in_one_set_and_false_in_another(self):
        conditions = [name for name in TEMPLATES["default"]["Conditions"] if not name.startswith("ServerlessDeployment")]
        for condition in conditions:
            found = {holds(template, condition) for template in TEMPLATES.values()}
            self.assertEqual(found, {True, False}, f"add a set of parameters to transform.py for {condition}")

    def test_optional_parts_are_absent_by_default_and_complete_with_their_parameter(self):
        parts = {
            "bootstrap-secret": {"BootstrapSecret"},
            "customer-key": {"Key", "KeyAlias"},
            "firewall": {"Firewall", "FirewallAssociation"},
            "domain": {"ApiDomain", "ApiDomainMapping"},
            "domain-record": {"ApiDomain", "ApiDomainMapping", "ApiDomainRecord"},
            "alarm-email": {"AlarmEmailSubscription"},
            "backup": {"BackupVault", "BackupPlan", "BackupSelection", "BackupRole"},
        }
        default = deployed(TEMPLATES["default"]).keys()
        for name, expected in parts.items():
            added = {one for one in deployed(TEMPLATES[name]).keys() - default if not one.startswith("ApiDeployment")}
            self.assertEqual(added, expected, name)

    def test_the_firewall_and_the_domain_belong_to_the_stage(self):
        resources = TEMPLATES["everything"]["Resources"]
        association = resources["FirewallAssociation"]["Properties"]["ResourceArn"]
        self.assertEqual(association["Fn::Sub"].split("::", 2)[-1].split("/", 1)[1], "restapis/${Api}/stages/${ApiStage}")
        self.assertEqual(resources["ApiDomainMapping"]["Properties"]["Stage"], {"Ref": "ApiStage"})
        self.assertNotIn("BasePath", resources["ApiDomainMapping"]["Properties"])

    def test_a_customer_key_encrypts_every_table_topic_queue_and_log_group(self):
        template = TEMPLATES["customer-key"]
        places = {
            "AWS::DynamoDB::Table": lambda properties: properties["SSESpecification"]["KMSMasterKeyId"],
            "AWS::SNS::Topic": lambda properties: properties["KmsMasterKeyId"],
            "AWS::SQS::Queue": lambda properties: properties["KmsMasterKeyId"],
            "AWS::Logs::LogGroup": lambda properties: properties["KmsKeyId"],
        }
        for kind, place in places.items():
            for name, body in of_type(template, kind).items():
                self.assertEqual(references(template, place(body["Properties"])), {"Key"}, name)

    def test_retained_resources_are_deleted_with_a_failed_first_deployment(self):
        for template in TEMPLATES.values():
            for name, body in template["Resources"].items():
                policies = body.get("DeletionPolicy"), body.get("UpdateReplacePolicy")
                # SAM retains published versions; their names are new in every deployment.
                if body["Type"] != "AWS::Lambda::Version":
                    self.assertIn(policies, ((None, None), ("RetainExceptOnCreate", "Retain")), name)
            for name, body in of_type(template, "AWS::DynamoDB::Table").items():
                self.assertEqual(body.get("DeletionPolicy"), "RetainExceptOnCreate", name)


if __name__ == "__main__":
    unittest.main()
