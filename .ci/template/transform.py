#!/usr/bin/env python3
"""Prints template.yaml as CloudFormation deploys it: expanded by SAM's translator, for given values of parameters. It needs
neither credentials nor a network.

  target/ci-tools/bin/python .ci/template/transform.py [NAME=VALUE]...
  target/ci-tools/bin/python .ci/template/transform.py --all FOLDER     one file for each of SETS
"""

import json
import pathlib
import re
import sys

import boto3
import tomlkit
from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse

ROOT = pathlib.Path(__file__).parents[2]
TEMPLATE = ROOT / "template.yaml"
REGION = "us-east-1"


def environment(name):
    """The parameters of an environment in samconfig.toml."""
    settings = tomlkit.parse((ROOT / "samconfig.toml").read_text())[name]
    given = settings.get("deploy", settings.get("global"))["parameters"]["parameter_overrides"]
    return dict(pair.split("=", 1) for pair in given.split())


DOMAIN = {
    "DomainName": "erp.example.com",
    "CertificateArn": "arn:aws:acm:us-east-1:000000000000:certificate/00000000-0000-0000-0000-000000000000",
}
# Values of parameters, so that each condition of the template is true in one set and false in another.
SETS = {
    "default": {},
    "staging": environment("staging"),
    "prod": environment("prod"),
    "second-stack": {"GatewayLogsRole": "exists"},
    "bootstrap-secret": {"Bootstrap": "secret"},
    "customer-key": {"EncryptionKey": "customer"},
    "firewall": {"WebApplicationFirewall": "true"},
    "domain": DOMAIN,
    "domain-record": DOMAIN | {"HostedZoneId": "Z0000000000000"},
    "alarm-email": {"AlarmEmail": "on-call@example.com"},
    "backup": {"Backup": "true"},
    "everything": {
        **environment("prod"), **DOMAIN, "HostedZoneId": "Z0000000000000", "EncryptionKey": "customer",
        "WebApplicationFirewall": "true", "AlarmEmail": "on-call@example.com", "Backup": "true", "Bootstrap": "secret",
    },
}


class ManagedPolicies:
    """The translator asks IAM for the ARN of a managed policy that is given by name. The template gives none."""

    def load(self):
        return {}


def transform(parameters=None, path=TEMPLATE):
    """Returns the transformed template, whose parameters have these values as defaults."""
    template = yaml_parse(path.read_text())
    for name, value in (parameters or {}).items():
        if name not in template["Parameters"]:
            raise SystemExit(f"{path.name} has no parameter {name}")
        template["Parameters"][name]["Default"] = value
    # The translator reads the partition from the region of the session.
    boto3.setup_default_session(region_name=REGION)
    defaults = {name: parameter["Default"] for name, parameter in template["Parameters"].items()}
    validator = SamTemplateValidator(template, ManagedPolicies(), region=REGION, parameter_overrides=defaults)
    text = validator.get_translated_template_if_valid()
    return json.loads(json.dumps(yaml_parse(text)))


def write_all(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, parameters in SETS.items():
        (folder / f"{name}.json").write_text(json.dumps(transform(parameters), indent=1))


def main():
    if sys.argv[1:2] == ["--all"]:
        return write_all(pathlib.Path(sys.argv[2]))
    wrong = [argument for argument in sys.argv[1:] if not re.fullmatch(r"\w+=.*", argument)]
    if wrong:
        raise SystemExit(f"not NAME=VALUE: {' '.join(wrong)}")
    parameters = dict(argument.split("=", 1) for argument in sys.argv[1:])
    print(json.dumps(transform(parameters), indent=1))


if __name__ == "__main__":
    main()
