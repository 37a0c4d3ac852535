//! `AWS::IAM::Role`: the role of a function, with the statements of its inline policies. Roles of AWS services
//! have no effect here.

use serde_json::Value;

use crate::deployment::Statement;

use super::functions::{check_managed_policy, policy_document};
use super::properties::Properties;
use super::resources::Resource;
use super::scope::Scope;

/// A role.
#[derive(Debug)]
pub(crate) struct Role {
    pub(crate) arn: String,
    pub(crate) statements: Vec<Statement>,
}

/// Reads a role; `None` for the role of a service other than Lambda.
pub(crate) fn read(resource: &Resource, scope: &Scope<'_>) -> Option<Role> {
    let at = resource.at();
    let properties = scope.resolve(&resource.properties, &at).unwrap_or(Value::Null);
    let mut reader = Properties::new(properties, at, scope.problems);
    let trust = reader.value("AssumeRolePolicyDocument").unwrap_or(Value::Null);
    if !is_for_lambda(&trust) {
        return None;
    }
    let mut statements = Vec::new();
    for mut policy in reader.objects("Policies").unwrap_or_default() {
        if policy.required_string("PolicyName").is_some()
            && let Some(document) = policy.object("PolicyDocument")
        {
            statements.extend(policy_document(document));
        }
        policy.finish();
    }
    let managed_at = reader.at().key("ManagedPolicyArns");
    for (index, arn) in reader.strings("ManagedPolicyArns").unwrap_or_default().iter().enumerate() {
        check_managed_policy(arn, &managed_at.index(index), scope);
    }
    reader.ignore(&["Description", "MaxSessionDuration", "Path", "PermissionsBoundary", "RoleName", "Tags"]);
    reader.finish();
    Some(Role { arn: scope.resources[&resource.id].attributes.as_ref()?.get("Arn")?.clone(), statements })
}

/// Returns whether Lambda can assume a role with this trust policy.
fn is_for_lambda(trust: &Value) -> bool {
    let statements = match &trust["Statement"] {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    statements.iter().any(|statement| match &statement["Principal"]["Service"] {
        Value::Array(services) => services.iter().any(|service| service == "lambda.amazonaws.com"),
        service => service == "lambda.amazonaws.com",
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::secrets::Secrets;
    use crate::template::{Inputs, TemplateError, parse};

    const TEMPLATE: &str = r"
Transform: AWS::Serverless-2016-10-31
Globals:
  Function: { Runtime: provided.al2023 }
Resources:
  Orders:
    Type: AWS::Serverless::Function
    Metadata: { BuildMethod: rust-cargolambda, BuildProperties: { Binary: orders } }
    Properties:
      Role: !GetAtt OrdersRole.Arn
  OrdersRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: [{ Effect: Allow, Principal: { Service: lambda.amazonaws.com }, Action: sts:AssumeRole }]
      Policies:
        - PolicyName: function
          PolicyDocument:
            Statement:
              - { Effect: Allow, Action: [logs:PutLogEvents], Resource: !GetAtt Logs.Arn }
              - { Effect: Allow, Action: sns:Publish, Resource: !Ref Topic }
  GatewayRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: [{ Effect: Allow, Principal: { Service: apigateway.amazonaws.com }, Action: sts:AssumeRole }]
      ManagedPolicyArns: [arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs]
  Logs: { Type: AWS::Logs::LogGroup }
  Topic: { Type: AWS::SNS::Topic }
";

    fn read(text: &str) -> Result<crate::deployment::Deployment, TemplateError> {
        let (parameters, secrets) = (BTreeMap::new(), Secrets::in_memory());
        let endpoint = "http://127.0.0.1:4566";
        parse(
            text,
            Inputs { stack_name: "erp", parameters: &parameters, aws_endpoint: endpoint, secrets: &secrets },
        )
    }

    #[test]
    fn a_function_has_the_statements_of_its_role() {
        let deployment = read(TEMPLATE).unwrap();
        let statements = &deployment.functions[0].statements;
        let actions: Vec<_> = statements.iter().flat_map(|statement| &statement.actions).collect();
        assert_eq!(actions, ["logs:PutLogEvents", "sns:Publish"]);
        assert_eq!(statements[1].resources, [crate::arn::topic("erp-Topic")]);
    }

    #[test]
    fn an_invalid_role_is_reported_with_its_position() {
        for (from, to, position, message) in [
            ("Role: !GetAtt OrdersRole.Arn", "Role: other", "Orders.Properties.Role", "not a role of Lambda"),
            (
                "!GetAtt OrdersRole.Arn",
                "!GetAtt GatewayRole.Arn",
                "Orders.Properties.Role",
                "not a role of Lambda",
            ),
            (
                "Role: !GetAtt OrdersRole.Arn",
                "Role: !GetAtt OrdersRole.Arn\n      Policies: []",
                "Orders.Properties.Policies",
                "ignores them",
            ),
            ("PolicyName: function", "Name: function", "OrdersRole.Properties.Policies[0]", "PolicyName"),
            ("sns:Publish, Resource", "sns:Publish, Resorce", "PolicyDocument.Statement[1]", "Resorce"),
            (
                "Policies:\n        - P",
                "ManagedPolicyArns: [arn:aws:iam::aws:policy/AdministratorAccess]\n      Policies:\n        - P",
                "OrdersRole.Properties.ManagedPolicyArns[0]",
                "AdministratorAccess",
            ),
        ] {
            assert!(TEMPLATE.contains(from), "{from}");
            let error = read(&TEMPLATE.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(position) && error.contains(message), "{from} -> {to}: {error}");
        }
    }
}
