# clm_migrations(contact FILES migrations/0002_contacts.sql ...): embeds a service's migrations.
#
# Makes the library clm::contact_schema and the header "services/contact/schema.h", which declares
#   namespace clm::contact { pg::Schema ContactSchema(); }
# A migration whose schema older programs run on says from which version by its first line,
# "-- runs from: 2" (pg::Migration::runs_from).
# The number of a migration is the one its file name begins with; numbers ascend. A service that has
# a journal puts JournalMigration(), number 1, in front and so begins its own files with 0002.
function(clm_migrations name)
  cmake_parse_arguments(arg "" "" "FILES" ${ARGN})
  string(SUBSTRING ${name} 0 1 first)
  string(TOUPPER ${first} first)
  string(SUBSTRING ${name} 1 -1 rest)
  set(function_name "${first}${rest}Schema")
  string(TOUPPER ${name} upper)
  set(guard "CLM_SERVICES_${upper}_SCHEMA_H_")
  set(dir ${CMAKE_BINARY_DIR}/gen/services/${name})

  set(header "// Generated from the SQL files of services/${name}/migrations.\n")
  string(APPEND header "#ifndef ${guard}\n#define ${guard}\n\n#include \"libs/pg/migrate.h\"\n\n"
         "namespace clm::${name} {\n\npg::Schema ${function_name}();\n\n}\n\n#endif  // ${guard}\n")

  set(source "// Generated from the SQL files of services/${name}/migrations.\n")
  string(APPEND source "#include \"services/${name}/schema.h\"\n\nnamespace clm::${name} {\n\n"
         "pg::Schema ${function_name}() {\n  pg::Schema schema;\n  schema.service = \"${name}\";\n")
  set(previous 0)
  foreach(file IN LISTS arg_FILES)
    get_filename_component(stem ${file} NAME_WE)
    if(NOT stem MATCHES "^([0-9][0-9][0-9][0-9])_[a-z0-9_]+$")
      message(FATAL_ERROR "clm_migrations: ${file} is not named NNNN_words.sql")
    endif()
    math(EXPR number "1${CMAKE_MATCH_1} - 10000")
    if(number LESS_EQUAL previous)
      message(FATAL_ERROR "clm_migrations: ${file} is out of order")
    endif()
    set(previous ${number})
    file(READ ${file} sql)
    set(runs_from 0)
    if(sql MATCHES "^-- runs from: ([0-9]+)\n")
      set(runs_from ${CMAKE_MATCH_1})
    endif()
    string(APPEND source "  schema.migrations.push_back({${number}, \"${stem}\", R\"clm_sql(${sql})clm_sql\", ${runs_from}});\n")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  endforeach()
  string(APPEND source "  return schema;\n}\n\n}  // namespace clm::${name}\n")

  foreach(part IN ITEMS header source)
    string(REPLACE "header" "schema.h" out ${part})
    string(REPLACE "source" "schema.cc" out ${out})
    file(WRITE ${dir}/${out}.new "${${part}}")
    file(COPY_FILE ${dir}/${out}.new ${dir}/${out} ONLY_IF_DIFFERENT)
  endforeach()

  add_library(clm_${name}_schema STATIC ${dir}/schema.cc)
  target_include_directories(clm_${name}_schema PUBLIC ${CMAKE_BINARY_DIR}/gen)
  target_link_libraries(clm_${name}_schema PUBLIC clm::pg PRIVATE clm_flags)
  add_library(clm::${name}_schema ALIAS clm_${name}_schema)
endfunction()
