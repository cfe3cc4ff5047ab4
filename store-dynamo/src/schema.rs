//! Schema of the table: its keys, its time to live, and the number of its layout.

use aws_sdk_dynamodb::types::{AttributeDefinition, KeySchemaElement, KeyType, ScalarAttributeType};
use session_core::{Error, ErrorKind, Namespace, Result};

use crate::error::incomplete;
use crate::items::{self, Item, LAYOUT, PK, SK, TTL};

/// Layout that this release reads and writes.
pub(crate) const NUMBER: i64 = 1;

/// Checks that `name` is a namespace and long enough for DynamoDB, whose table names have at least three characters.
pub(crate) fn namespace(name: &str) -> Result<Namespace> {
    let namespace = Namespace::new(name)?;
    if name.len() < 3 {
        return Err(Error::fixed(
            ErrorKind::Config,
            "the namespace is too short for a table of DynamoDB; choose one of at least 3 characters",
        ));
    }
    Ok(namespace)
}

/// Names and kinds of both parts of the primary key, which are binary.
pub(crate) const KEYS: [(&str, KeyType); 2] = [(PK, KeyType::Hash), (SK, KeyType::Range)];

pub(crate) fn definition(name: &str) -> Result<AttributeDefinition> {
    let definition = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::B);
    definition.build().map_err(incomplete)
}

pub(crate) fn element(name: &str, kind: &KeyType) -> Result<KeySchemaElement> {
    let element = KeySchemaElement::builder().attribute_name(name).key_type(kind.clone());
    element.build().map_err(incomplete)
}

/// Returns the primary key of the layout's item. Neither part is as long as that of a session or an entry.
pub(crate) fn layout_key() -> Item {
    items::item([(PK, items::bytes(LAYOUT.as_bytes())), (SK, items::bytes(LAYOUT.as_bytes()))])
}

/// Returns the item with the number of the table's layout.
pub(crate) fn layout() -> Item {
    let mut item = layout_key();
    item.insert(LAYOUT.to_owned(), items::number(NUMBER));
    item
}

/// Returns the table as a CloudFormation template, which CDK and other tools accept as well.
pub(crate) fn template(namespace: &Namespace) -> String {
    format!(
        r#"{{
  "AWSTemplateFormatVersion": "2010-09-09",
  "Description": "Sessions, layout {NUMBER}",
  "Resources": {{
    "Sessions": {{
      "Type": "AWS::DynamoDB::Table",
      "DeletionPolicy": "Retain",
      "UpdateReplacePolicy": "Retain",
      "Properties": {{
        "TableName": "{namespace}",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
          {{ "AttributeName": "{PK}", "AttributeType": "B" }},
          {{ "AttributeName": "{SK}", "AttributeType": "B" }}
        ],
        "KeySchema": [
          {{ "AttributeName": "{PK}", "KeyType": "HASH" }},
          {{ "AttributeName": "{SK}", "KeyType": "RANGE" }}
        ],
        "TimeToLiveSpecification": {{ "AttributeName": "{TTL}", "Enabled": true }}
      }}
    }}
  }}
}}
"#
    )
}
