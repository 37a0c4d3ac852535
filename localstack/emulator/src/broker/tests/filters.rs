//! Event patterns: a table of patterns, documents and expected results.

use proptest::prelude::*;

use super::super::filter::{Scope, attributes_document, matches, validate, validate_policy};
use super::super::{MessageAttribute, MessageAttributes};
use super::*;

#[test]
fn patterns_match_the_same_documents_as_on_aws() {
    let table = [
        // Exact values.
        (json!({"a": ["x", "y"]}), json!({"a": "y"}), true),
        (json!({"a": ["x"]}), json!({"a": "X"}), false),
        (json!({"a": [5]}), json!({"a": 5.0}), true),
        (json!({"a": [0]}), json!({"a": -0.0}), true),
        (json!({"a": [5]}), json!({"a": "5"}), false),
        (json!({"a": [true]}), json!({"a": true}), true),
        (json!({"a": [null]}), json!({"a": null}), true),
        (json!({"a": [null]}), json!({}), false),
        (json!({"a": [""]}), json!({"a": ""}), true),
        // All keys, any value.
        (json!({"a": ["x"], "b": ["y"]}), json!({"a": "x", "b": "y", "c": 1}), true),
        (json!({"a": ["x"], "b": ["y"]}), json!({"a": "x", "b": "n"}), false),
        (json!({}), json!({"a": 1}), true),
        // Arrays in the document: one element is enough.
        (json!({"a": ["x"]}), json!({"a": ["z", "x"]}), true),
        (json!({"a": ["x"]}), json!({"a": []}), false),
        (
            json!({"a": {"b": ["x"], "c": ["y"]}}),
            json!({"a": [{"b": "x", "c": "n"}, {"b": "x", "c": "y"}]}),
            true,
        ),
        (json!({"a": {"b": ["x"], "c": ["y"]}}), json!({"a": [{"b": "x"}, {"c": "y"}]}), false),
        // Text.
        (json!({"a": [{"prefix": "or"}]}), json!({"a": "order"}), true),
        (json!({"a": [{"prefix": "or"}]}), json!({"a": "border"}), false),
        (json!({"a": [{"prefix": {"equals-ignore-case": "OR"}}]}), json!({"a": "order"}), true),
        (json!({"a": [{"suffix": ".png"}]}), json!({"a": "x.png"}), true),
        (json!({"a": [{"suffix": ".png"}]}), json!({"a": 1}), false),
        (json!({"a": [{"equals-ignore-case": "Straße"}]}), json!({"a": "STRAßE"}), true),
        (json!({"a": [{"wildcard": "a*c*"}]}), json!({"a": "abbcd"}), true),
        (json!({"a": [{"wildcard": "a*a"}]}), json!({"a": "a"}), false),
        (json!({"a": [{"wildcard": r"a\*"}]}), json!({"a": "a*"}), true),
        (json!({"a": [{"wildcard": r"a\*"}]}), json!({"a": "ab"}), false),
        // Numbers.
        (json!({"a": [{"numeric": [">", 0, "<=", 5]}]}), json!({"a": 5}), true),
        (json!({"a": [{"numeric": [">", 0, "<=", 5]}]}), json!({"a": 0}), false),
        (json!({"a": [{"numeric": ["=", 301.5]}]}), json!({"a": 301.5}), true),
        (json!({"a": [{"numeric": [">=", 1]}]}), json!({"a": "2"}), false),
        // Anything but.
        (json!({"a": [{"anything-but": "x"}]}), json!({"a": "y"}), true),
        (json!({"a": [{"anything-but": ["x", "y"]}]}), json!({"a": "y"}), false),
        (json!({"a": [{"anything-but": [1, 2]}]}), json!({"a": 3}), true),
        (json!({"a": [{"anything-but": "x"}]}), json!({}), false),
        (json!({"a": [{"anything-but": "x"}]}), json!({"a": ["x", "y"]}), true),
        (json!({"a": [{"anything-but": {"prefix": "or"}}]}), json!({"a": "order"}), false),
        (json!({"a": [{"anything-but": {"prefix": ["or", "st"]}}]}), json!({"a": "stock"}), false),
        (json!({"a": [{"anything-but": {"suffix": "er"}}]}), json!({"a": "stock"}), true),
        (json!({"a": [{"anything-but": {"equals-ignore-case": ["x"]}}]}), json!({"a": "X"}), false),
        // Existence, of leaves.
        (json!({"a": [{"exists": true}]}), json!({"a": null}), true),
        (json!({"a": [{"exists": true}]}), json!({}), false),
        (json!({"a": [{"exists": true}]}), json!({"a": {"b": 1}}), false),
        (json!({"a": [{"exists": false}]}), json!({}), true),
        (json!({"a": {"b": [{"exists": false}]}}), json!({}), true),
        (json!({"a": [{"exists": false}, "x"]}), json!({"a": "x"}), true),
        (json!({"a": [{"exists": false}]}), json!({"a": 1}), false),
        // Addresses.
        (json!({"a": [{"cidr": "10.0.0.0/24"}]}), json!({"a": "10.0.0.255"}), true),
        (json!({"a": [{"cidr": "10.0.0.0/24"}]}), json!({"a": "10.0.1.0"}), false),
        (json!({"a": [{"cidr": "0.0.0.0/0"}]}), json!({"a": "1.2.3.4"}), true),
        (json!({"a": [{"cidr": "2001:db8::/32"}]}), json!({"a": "2001:db8::1"}), true),
        (json!({"a": [{"cidr": "10.0.0.0/24"}]}), json!({"a": "::1"}), false),
        // Or.
        (json!({"$or": [{"a": ["x"]}, {"b": ["y"]}]}), json!({"b": "y"}), true),
        (json!({"$or": [{"a": ["x"]}, {"b": ["y"]}]}), json!({"b": "x"}), false),
        (json!({"c": [1], "$or": [{"a": ["x"]}, {"b": ["y"]}]}), json!({"b": "y", "c": 2}), false),
        (json!({"n": {"$or": [{"a": ["x"]}, {"b": {"c": ["y"]}}]}}), json!({"n": {"b": {"c": "y"}}}), true),
        (json!({"$or": ["x"]}), json!({"$or": "x"}), true),
        // A stream record.
        (
            json!({"eventName": ["INSERT"], "dynamodb": {"NewImage": {"outbox_pk": {"S": [{"exists": true}]}}}}),
            json!({"eventName": "INSERT", "dynamodb": {"NewImage": {"outbox_pk": {"S": "OUTBOX#1"}}}}),
            true,
        ),
        (
            json!({"eventName": ["INSERT"], "dynamodb": {"NewImage": {"outbox_pk": {"S": [{"exists": true}]}}}}),
            json!({"eventName": "INSERT", "dynamodb": {"NewImage": {"pk": {"S": "ORDER#1"}}}}),
            false,
        ),
    ];
    for (pattern, document, expected) in table {
        validate(&pattern).unwrap_or_else(|reason| panic!("{pattern}: {reason}"));
        assert_eq!(matches(&pattern, &document), expected, "{pattern} and {document}");
    }
}

#[test]
fn a_malformed_pattern_is_rejected_when_it_is_set() {
    for pattern in [
        json!([]),
        json!("x"),
        json!({"a": "x"}),
        json!({"a": []}),
        json!({"a": {}}),
        json!({"a": [["x"]]}),
        json!({"a": [{"prefix": 1}]}),
        json!({"a": [{"prefix": ""}]}),
        json!({"a": [{"exists": "true"}]}),
        json!({"a": [{"unknown": 1}]}),
        json!({"a": [{"prefix": "x", "suffix": "y"}]}),
        json!({"a": [{"numeric": ["=="]}]}),
        json!({"a": [{"numeric": ["!", 1]}]}),
        json!({"a": [{"numeric": [">", 5, "<", 1]}]}),
        json!({"a": [{"numeric": ["<", 1, ">", 5]}]}),
        json!({"a": [{"numeric": ["=", 1e12]}]}),
        json!({"a": [{"anything-but": []}]}),
        json!({"a": [{"anything-but": ["x", 1]}]}),
        json!({"a": [{"anything-but": {"numeric": ["=", 1]}}]}),
        json!({"a": [{"cidr": "10.0.0.0/33"}]}),
        json!({"$or": [{"a": ["x"]}, {"b": []}]}),
    ] {
        assert!(validate(&pattern).is_err(), "{pattern} was accepted");
    }
    let nested = json!({"a": {"b": ["x"]}});
    assert!(validate_policy(&nested, Scope::MessageAttributes).is_err());
    assert!(validate_policy(&nested, Scope::MessageBody).is_ok());
    let many: Value = (0..6).map(|n| (n.to_string(), json!(["x"]))).collect::<serde_json::Map<_, _>>().into();
    assert!(validate_policy(&many, Scope::MessageAttributes).is_err());
    let complex = json!({"a": vec!["x"; 13], "b": vec!["x"; 12]});
    assert!(validate_policy(&complex, Scope::MessageAttributes).is_err());
}

#[test]
fn attributes_are_converted_by_their_types() {
    let attribute = |data_type: &str, value: &str| MessageAttribute {
        data_type: data_type.to_owned(),
        string_value: Some(value.to_owned()),
        binary_value: None,
    };
    let binary =
        MessageAttribute { data_type: "Binary".to_owned(), string_value: None, binary_value: Some(vec![1]) };
    let attributes: MessageAttributes = [
        ("s", attribute("String", "5")),
        ("n", attribute("Number", "5")),
        ("odd", attribute("Number.price", "+.5")),
        ("l", attribute("String.Array", r#"["a",1,true,null]"#)),
        ("b", binary),
    ]
    .map(|(name, attribute)| (name.to_owned(), attribute))
    .into();
    assert_eq!(
        attributes_document(&attributes),
        json!({"s": "5", "n": 5, "odd": 0.5, "l": ["a", 1, true, null]})
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z*\\\\é]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = prop_oneof![
            Just("$or".to_owned()),
            Just("anything-but".to_owned()),
            Just("numeric".to_owned()),
            Just("prefix".to_owned()),
            Just("wildcard".to_owned()),
            Just("exists".to_owned()),
            Just("cidr".to_owned()),
            "[ab]",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(key, inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_pattern_and_no_document_cause_a_panic(pattern in any_json(), document in any_json()) {
        let matched = matches(&pattern, &document);
        prop_assert!(!matched || pattern.is_object());
        if validate(&pattern).is_err() {
            prop_assert!(validate_policy(&pattern, Scope::MessageBody).is_err());
        }
    }
}
