//! The parts of the deployed template that a parameter switches on.

use super::{deployed_template, function, read};

#[test]
fn its_optional_parts_are_accepted_and_have_no_effect() {
    let optional = [
        ("Bootstrap", "secret"),
        ("EncryptionKey", "customer"),
        ("WebApplicationFirewall", "true"),
        ("DomainName", "erp.example.com"),
        ("CertificateArn", "arn:aws:acm:us-east-1:000000000000:certificate/0"),
        ("HostedZoneId", "Z0"),
        ("Backup", "true"),
    ];
    let (with, without) = (deployed_template(&optional), deployed_template(&[]));
    for (with, without) in with.functions.iter().zip(&without.functions) {
        assert_eq!((&with.name, &with.statements), (&without.name, &without.statements));
    }
    assert_eq!(format!("{:?}", with.queues), format!("{:?}", without.queues));
    assert_eq!(function(&with, "AuthApiFunction").environment["BOOTSTRAP_SECRET"].len(), 32);
    let text = include_str!("../../../../../template.yaml");
    let problems = read(text, &[("AlarmEmail", "on-call@example.com")]).unwrap_err();
    assert_eq!(problems[0].at, "Resources.AlarmEmailSubscription.Properties.Protocol", "no e-mail is sent");
}
