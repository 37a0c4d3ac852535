"""What MiniStack's CloudFormation leaves out of resources that it says are complete. Each is put right through the
service's own API, which MiniStack does have; what is still missing after that, the comparison finds."""


def fill(client, template):
    """Fills the gaps; says how many of each there were."""
    filled = {}
    for _, kind, properties in template.resources():
        if kind in GAPS:
            what = GAPS[kind](client, properties)
            if what:
                filled[what] = filled.get(what, 0) + 1
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
