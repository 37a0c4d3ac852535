"""Properties that MiniStack's CloudFormation ignores although it reports the resource as complete. They are set through
the API of the service, which MiniStack supports; the comparison finds the remaining differences."""


def fill(client, template):
    """Sets the ignored properties and returns the number of resources per kind of gap."""
    filled = {}
    for _, kind, properties in template.resources():
        if kind in GAPS:
            gap = GAPS[kind](client, properties)
            if gap:
                filled[gap] = filled.get(gap, 0) + 1
    return filled


def table(client, properties):
    dynamodb, name = client("dynamodb"), properties["TableName"]
    live = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    wanted = properties["TimeToLiveSpecification"]
    if live.get("AttributeName") == wanted["AttributeName"]:
        return None
    dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=wanted)
    dynamodb.update_continuous_backups(
        TableName=name, PointInTimeRecoverySpecification=properties["PointInTimeRecoverySpecification"]
    )
    return "time to live and point-in-time recovery of a table"


def topic(client, properties):
    key, name = properties.get("KmsMasterKeyId"), properties["TopicName"]
    sns = client("sns")
    arn = sns.create_topic(Name=name)["TopicArn"]
    if key is None or sns.get_topic_attributes(TopicArn=arn)["Attributes"].get("KmsMasterKeyId") == key:
        return None
    sns.set_topic_attributes(TopicArn=arn, AttributeName="KmsMasterKeyId", AttributeValue=key)
    return "encryption of a topic"


def stage(client, properties):
    gateway, setting = client("apigateway"), properties["AccessLogSetting"]
    named = {"restApiId": properties["RestApiId"], "stageName": properties["StageName"]}
    if gateway.get_stage(**named).get("accessLogSettings", {}).get("format") == setting["Format"]:
        return None
    changes = {"/accessLogSettings/destinationArn": setting["DestinationArn"], "/accessLogSettings/format": setting["Format"]}
    operations = [{"op": "replace", "path": path, "value": value} for path, value in changes.items()]
    gateway.update_stage(**named, patchOperations=operations)
    return "access log of a stage"


GAPS = {"AWS::DynamoDB::Table": table, "AWS::SNS::Topic": topic, "AWS::ApiGateway::Stage": stage}
