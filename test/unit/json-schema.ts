/**
 * Whether a value is valid under a JSON schema, for the keywords that mock-config.schema.json uses.
 * Throws for another keyword: it would be ignored.
 */
export interface Schema {
  readonly [keyword: string]: unknown;
}

type Check = (value: never, keyword: never, schema: Schema, root: Schema) => boolean;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const TYPES: Record<string, (value: unknown) => boolean> = {
  object: isObject,
  array: Array.isArray,
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number',
  integer: Number.isInteger,
  boolean: (value) => typeof value === 'boolean',
};

const ignored: Check = () => true;
const number = (check: (value: number, limit: number) => boolean) =>
  ((value: unknown, limit: number) => typeof value !== 'number' || check(value, limit)) as Check;
const items = (check: (value: unknown[], limit: number) => boolean) =>
  ((value: unknown, limit: number) => !Array.isArray(value) || check(value, limit)) as Check;

const KEYWORDS: Record<string, Check> = {
  $schema: ignored,
  $defs: ignored,
  title: ignored,
  description: ignored,
  default: ignored,
  type: (value: unknown, type: string) => TYPES[type]!(value),
  enum: (value: unknown, values: unknown[]) => values.includes(value),
  minimum: number((value, limit) => value >= limit),
  maximum: number((value, limit) => value <= limit),
  multipleOf: number((value, step) => value % step === 0),
  minLength: (value: unknown, limit: number) => typeof value !== 'string' || value.length >= limit,
  minItems: items((value, limit) => value.length >= limit),
  maxItems: items((value, limit) => value.length <= limit),
  pattern: (value: unknown, pattern: string) =>
    typeof value !== 'string' || new RegExp(pattern).test(value),
  required: (value: unknown, names: string[]) =>
    !isObject(value) || names.every((name) => Object.hasOwn(value, name)),
  properties: (value: unknown, properties: Record<string, Schema>, _, root) =>
    !isObject(value) ||
    Object.entries(properties).every(
      ([name, schema]) => !Object.hasOwn(value, name) || isValid(value[name], schema, root),
    ),
  propertyNames: (value: unknown, schema: Schema, _, root) =>
    !isObject(value) || Object.keys(value).every((name) => isValid(name, schema, root)),
  additionalProperties: (value: unknown, schema: Schema | false, { properties = {} }, root) =>
    !isObject(value) ||
    Object.keys(value).every(
      (name) =>
        Object.hasOwn(properties as object, name) ||
        (schema !== false && isValid(value[name], schema, root)),
    ),
  items: (value: unknown, schema: Schema, _, root) =>
    !Array.isArray(value) || value.every((each) => isValid(each, schema, root)),
  anyOf: (value: unknown, schemas: Schema[], _, root) =>
    schemas.some((schema) => isValid(value, schema, root)),
  oneOf: (value: unknown, schemas: Schema[], _, root) =>
    schemas.filter((schema) => isValid(value, schema, root)).length === 1,
  $ref: (value: unknown, reference: string, _, root) => isValid(value, find(root, reference), root),
};

/** The schema at a reference such as '#/$defs/card'. */
export function find(root: Schema, reference: string): Schema {
  const names = reference.split('/').slice(1);
  return names.reduce((at, name) => at[name] as Schema, root);
}

export function isValid(value: unknown, schema: Schema, root: Schema = schema): boolean {
  return Object.entries(schema).every(([keyword, wanted]) => {
    const check = KEYWORDS[keyword];
    if (check === undefined) throw new Error(`unknown keyword ${keyword}`);
    return check(value as never, wanted as never, schema, root);
  });
}
