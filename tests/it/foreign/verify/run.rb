require "json"
require File.join(ENV["KITS"], "verify.rb")

JSON.parse(File.read(ENV["VECTORS"], encoding: "utf-8")).each do |row|
  found = verify(row["body"], row["headers"], row["secrets"], row["now"])
  abort(row["name"]) unless found == row["valid"]
  puts row["name"]
end
