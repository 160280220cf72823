"""What a definition is in each language, as queries over the trees of its grammar.

The names of the captures say what each is for:

    @def      a definition; its lines are a block
    @table    a constant that holds a table: a definition where it takes several lines
    @rest     a definition that goes on to the end of the file (`namespace A;`)
    @name     what it is called; several make one name, from the first to the last
    @scope    a name that stands around it without its node doing so (the receiver of a Go method)
    @body     where its signature is over
    @doc      its docstring, the first thing in its body
    @comment  documentation, when it stands directly above
    @mark     a decorator, an attribute, template parameters: part of what stands below
"""

_PYTHON = """
(function_definition name: (identifier) @name body: (block) @body) @def
(class_definition name: (identifier) @name body: (block) @body) @def
(function_definition body: (block . (expression_statement . (string) @doc)))
(class_definition body: (block . (expression_statement . (string) @doc)))
(module (expression_statement (assignment left: (identifier) @name
  right: [(dictionary) (list) (set) (tuple) (call)] @body)) @table)
(comment) @comment
(decorator) @mark
"""

_JAVASCRIPT = """
(function_declaration name: (identifier) @name body: (_) @body) @def
(generator_function_declaration name: (identifier) @name body: (_) @body) @def
(class_declaration name: (_) @name body: (_) @body) @def
(method_definition name: (_) @name body: (_) @body) @def
(variable_declarator name: (identifier) @name value: [
  (arrow_function body: (_) @body) (function_expression body: (_) @body)
  (generator_function body: (_) @body) (class body: (_) @body)]) @def
(assignment_expression left: (member_expression) @name right: [
  (arrow_function body: (_) @body) (function_expression body: (_) @body) (class body: (_) @body)]) @def
(pair key: (property_identifier) @name value: [
  (arrow_function body: (_) @body) (function_expression body: (_) @body)]) @def
(program [
  (lexical_declaration (variable_declarator name: (identifier) @name value: [(object) (array)] @body) @table)
  (export_statement declaration: (lexical_declaration
    (variable_declarator name: (identifier) @name value: [(object) (array)] @body) @table))])
(comment) @comment
(decorator) @mark
"""

_FIELD = "name: (_) @name value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)]"

_TYPESCRIPT = f"""
{_JAVASCRIPT}
(public_field_definition {_FIELD}) @def
(abstract_class_declaration name: (_) @name body: (_) @body) @def
(interface_declaration name: (_) @name body: (_) @body) @def
(type_alias_declaration name: (_) @name) @def
(enum_declaration name: (_) @name body: (_) @body) @def
(internal_module name: (_) @name body: (_) @body) @def
(module name: (_) @name body: (_) @body) @def
(function_signature name: (_) @name) @def
(abstract_method_signature name: (_) @name) @def
"""

_GO = """
(function_declaration name: (identifier) @name body: (block)? @body) @def
(method_declaration
  receiver: (parameter_list (parameter_declaration type: [
    (type_identifier) @scope
    (generic_type type: (type_identifier) @scope)
    (pointer_type (type_identifier) @scope)
    (pointer_type (generic_type type: (type_identifier) @scope))]))
  name: (field_identifier) @name body: (block)? @body) @def
(type_spec name: (type_identifier) @name) @def
(type_alias name: (type_identifier) @name) @def
(source_file (var_declaration (var_spec name: (identifier) @name
  value: (expression_list (composite_literal) @body))) @table)
(comment) @comment
"""

_RUST = """
(function_item name: (_) @name body: (_) @body) @def
(struct_item name: (_) @name body: (_)? @body) @def
(enum_item name: (_) @name body: (_) @body) @def
(union_item name: (_) @name body: (_) @body) @def
(trait_item name: (_) @name body: (_) @body) @def
(mod_item name: (_) @name body: (_) @body) @def
(impl_item trait: (_)? @name type: (_) @name body: (_) @body) @def
(macro_definition name: (_) @name) @def
(type_item name: (_) @name) @def
(const_item name: (_) @name value: (_) @body) @table
(static_item name: (_) @name value: (_) @body) @table
[(line_comment) (block_comment)] @comment
(attribute_item) @mark
"""

_JAVA = """
(class_declaration name: (_) @name body: (_) @body) @def
(interface_declaration name: (_) @name body: (_) @body) @def
(enum_declaration name: (_) @name body: (_) @body) @def
(record_declaration name: (_) @name body: (_) @body) @def
(annotation_type_declaration name: (_) @name body: (_) @body) @def
(method_declaration name: (_) @name body: (_)? @body) @def
(constructor_declaration name: (_) @name body: (_) @body) @def
(compact_constructor_declaration name: (_) @name body: (_) @body) @def
(field_declaration declarator: (variable_declarator name: (_) @name value: (_) @body)) @table
[(line_comment) (block_comment)] @comment
[(annotation) (marker_annotation)] @mark
"""

_FUNCTION = "(function_declarator declarator: (_) @name)"

_C = f"""
(function_definition declarator: [
  {_FUNCTION}
  (pointer_declarator declarator: {_FUNCTION})
  (pointer_declarator declarator: (pointer_declarator declarator: {_FUNCTION}))]
  body: (compound_statement) @body) @def
(struct_specifier name: (_) @name body: (_) @body) @def
(union_specifier name: (_) @name body: (_) @body) @def
(enum_specifier name: (_) @name body: (_) @body) @def
(type_definition type: [
  (struct_specifier body: (_) @body) (union_specifier body: (_) @body) (enum_specifier body: (_) @body)]
  declarator: (type_identifier) @name) @def
(preproc_function_def name: (_) @name value: (_) @body) @table
(declaration declarator: (init_declarator declarator: [
  (array_declarator declarator: (identifier) @name)
  (pointer_declarator declarator: (array_declarator declarator: (identifier) @name))]
  value: (initializer_list) @body)) @table
(comment) @comment
"""

_CPP = f"""
{_C}
(function_definition declarator: (reference_declarator {_FUNCTION}) body: (compound_statement) @body) @def
(function_definition declarator: (operator_cast) @name body: (compound_statement) @body) @def
(class_specifier name: (_) @name body: (_) @body) @def
(namespace_definition name: (_) @name body: (_) @body) @def
(concept_definition name: (_) @name) @def
(template_parameter_list) @mark
"""

_CSHARP = """
(namespace_declaration name: (_) @name body: (_) @body) @def
(file_scoped_namespace_declaration name: (_) @name) @rest
(class_declaration name: (_) @name body: (_)? @body) @def
(struct_declaration name: (_) @name body: (_)? @body) @def
(interface_declaration name: (_) @name body: (_)? @body) @def
(record_declaration name: (_) @name body: (_)? @body) @def
(enum_declaration name: (_) @name body: (_)? @body) @def
(delegate_declaration name: (_) @name) @def
(method_declaration name: (_) @name body: (_)? @body) @def
(constructor_declaration name: (_) @name body: (_)? @body) @def
(destructor_declaration "~" @name name: (_) @name body: (_)? @body) @def
(local_function_statement name: (_) @name body: (_)? @body) @def
(property_declaration name: (_) @name accessors: (_) @body) @table
(field_declaration (variable_declaration (variable_declarator name: (_) @name))) @table
(comment) @comment
(attribute_list) @mark
"""

_RUBY = """
(method name: (_) @name body: (_)? @body) @def
(singleton_method object: (_) @name name: (_) @name body: (_)? @body) @def
(class name: (_) @name body: (_)? @body) @def
(module name: (_) @name body: (_)? @body) @def
(assignment left: (constant) @name
  right: [(hash) (array) (call receiver: [(hash) (array)])] @body) @table
(comment) @comment
"""

_PHP = """
(namespace_definition name: (_) @name body: (_) @body) @def
(namespace_definition name: (_) @name !body) @rest
(class_declaration name: (_) @name body: (_) @body) @def
(interface_declaration name: (_) @name body: (_) @body) @def
(trait_declaration name: (_) @name body: (_) @body) @def
(enum_declaration name: (_) @name body: (_) @body) @def
(function_definition name: (_) @name body: (_) @body) @def
(method_declaration name: (_) @name body: (_)? @body) @def
(const_declaration (const_element (name) @name (array_creation_expression) @body)) @table
(property_declaration (property_element name: (_) @name default_value: (_) @body)) @table
(comment) @comment
(attribute_list) @mark
"""

_KOTLIN = """
(class_declaration name: (_) @name [(class_body) (enum_class_body)]? @body) @def
(object_declaration name: (_) @name (class_body)? @body) @def
(companion_object "companion" @name (class_body) @body) @def
(function_declaration name: (_) @name (function_body)? @body) @def
(secondary_constructor "constructor" @name (block)? @body) @def
(type_alias type: (_) @name) @def
[(line_comment) (block_comment)] @comment
(annotation) @mark
"""

_SWIFT = """
(class_declaration name: (_) @name body: (_) @body) @def
(protocol_declaration name: (_) @name body: (_) @body) @def
(function_declaration "func" . _ @name body: (_) @body) @def
(init_declaration "init" @name body: (_) @body) @def
(deinit_declaration "deinit" @name body: (_) @body) @def
(subscript_declaration "subscript" @name (computed_property) @body) @def
[(comment) (multiline_comment)] @comment
(attribute) @mark
"""

_SQL = """
(create_table (object_reference) @name [(column_definitions) (create_query)]? @body) @def
(create_view (object_reference) @name (keyword_as) @body) @def
(create_materialized_view (object_reference) @name (keyword_as) @body) @def
(create_function (keyword_function) . (object_reference) @name (function_body)? @body) @def
(create_procedure (keyword_procedure) . (object_reference) @name (procedure_body)? @body) @def
(create_trigger (keyword_trigger) . (object_reference) @name) @def
(create_index column: (identifier) @name) @def
(create_type (keyword_type) . (object_reference) @name) @def
(create_schema (keyword_schema) . (identifier) @name) @def
[(comment) (marginalia)] @comment
"""

_BASH = """
(function_definition name: (_) @name body: (_) @body) @def
(comment) @comment
"""

QUERIES = {
    "python": _PYTHON,
    "javascript": f"{_JAVASCRIPT}\n(field_definition {_FIELD.replace('name:', 'property:', 1)}) @def",
    "typescript": _TYPESCRIPT,
    "tsx": _TYPESCRIPT,
    "go": _GO,
    "rust": _RUST,
    "java": _JAVA,
    "c": _C,
    "cpp": _CPP,
    "csharp": _CSHARP,
    "ruby": _RUBY,
    "php": _PHP,
    "kotlin": _KOTLIN,
    "swift": _SWIFT,
    "sql": _SQL,
    "bash": _BASH,
}
"""By the names that `lctx.formats.languages` gives."""
