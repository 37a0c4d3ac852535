"""Tests of the transformed template: what CloudFormation gets, which the source does not show."""

import json
import pathlib
import unittest

from transform import SETS, transform

FOLDER = pathlib.Path("target/template")
# By set of parameters; written by transform.py.
TEMPLATES = {name: json.loads((FOLDER / f"{name}.json").read_text()) for name in SETS}


def of_type(template, kind):
    """The resources of a type, by logical id."""
    return {name: body for name, body in template["Resources"].items() if body["Type"] == kind}


def references(node):
    """The logical ids that a value refers to on every path: `Fn::If` guards its branches."""
    if isinstance(node, list):
        return {name for part in node for name in references(part)}
    if not isinstance(node, dict) or "Fn::If" in node:
        return set()
    if "Ref" in node:
        return {node["Ref"]}
    if "Fn::GetAtt" in node:
        target = node["Fn::GetAtt"]
        return {target[0] if isinstance(target, list) else target.split(".")[0]}
    return {name for part in node.values() for name in references(part)}


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

    def test_no_resource_depends_on_a_conditional_one(self):
        for template in TEMPLATES.values():
            resources = template["Resources"]
            for name, body in resources.items():
                depends = body.get("DependsOn", [])
                depends = {depends} if isinstance(depends, str) else set(depends)
                for other in depends | references(body.get("Properties", {})):
                    condition = resources.get(other, {}).get("Condition")
                    self.assertIn(condition, (None, body.get("Condition")), f"{name} depends on {other}")

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
