//! The table: its keys, its time to live, and the number of its layout.

use aws_sdk_dynamodb::types::{AttributeDefinition, KeySchemaElement, KeyType, ScalarAttributeType};
use session_core::{Error, ErrorKind, Namespace, Result};

use crate::error::incomplete;
use crate::items::{self, Item, LAYOUT, PK, SK, TTL};

/// Which layout this release reads and writes.
pub(crate) const NUMBER: i64 = 1;

/// `name` as a table of DynamoDB's, whose names have at least three characters.
pub(crate) fn namespace(name: &str) -> Result<Namespace> {
    let namespace = Namespace::new(name)?;
    if name.len() < 3 {
        return Err(Error::fixed(ErrorKind::Config, "DynamoDB's names of tables have at least 3 characters"));
    }
    Ok(namespace)
}

/// Both parts of the primary key, and that they are bytes.
pub(crate) const KEYS: [(&str, KeyType); 2] = [(PK, KeyType::Hash), (SK, KeyType::Range)];

pub(crate) fn definition(name: &str) -> Result<AttributeDefinition> {
    let definition = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::B);
    definition.build().map_err(incomplete)
}

pub(crate) fn element(name: &str, kind: &KeyType) -> Result<KeySchemaElement> {
    let element = KeySchemaElement::builder().attribute_name(name).key_type(kind.clone());
    element.build().map_err(incomplete)
}

/// Where the number of the layout is kept. Neither part has the length that a session's or an entry's has.
pub(crate) fn layout_key() -> Item {
    items::item([(PK, items::bytes(LAYOUT.as_bytes())), (SK, items::bytes(LAYOUT.as_bytes()))])
}

/// The item that says which layout the table has.
pub(crate) fn layout() -> Item {
    let mut item = layout_key();
    item.insert(LAYOUT.to_owned(), items::number(NUMBER));
    item
}

/// The table as a template of CloudFormation's, which is also what CDK and others take in.
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
