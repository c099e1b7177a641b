-- What lua does when its bench trace is recorded: tables, closures, string building and matching, a queue, a
-- tokenizer and a small object hierarchy. Deterministic: its own random numbers.

local state = 20150314
local function random(bound)
  state = (state * 1103515245 + 12345) % 2147483648
  return (state // 65536) % bound
end

-- Shapes: objects with a shared metatable, kept for the whole run.
local Shape = {}
Shape.__index = Shape
function Shape.new(name, width, height)
  return setmetatable({name = name, width = width, height = height, notes = {}}, Shape)
end
function Shape:area() return self.width * self.height end
function Shape:note(text) self.notes[#self.notes + 1] = text end

local shapes = {}
for i = 1, 12000 do
  shapes[i] = Shape.new("shape" .. i, random(50) + 1, random(50) + 1)
end

-- Short-lived strings and the words found in them.
local counts = {}
for round = 1, 9000 do
  local shape = shapes[random(#shapes) + 1]
  local line = string.format("%s is %d by %d, area %d, round %d", shape.name, shape.width, shape.height,
                             shape:area(), round)
  shape:note(line)
  for word in line:gmatch("%a+") do counts[word] = (counts[word] or 0) + 1 end
  for number in line:gmatch("%d+") do
    local key = "n" .. (tonumber(number) % 97)
    counts[key] = (counts[key] or 0) + 1
  end
end

-- A queue of closures, each making the next: a simulation's event loop.
local queue, head, done = {}, 1, 0
local function schedule(step, left)
  queue[#queue + 1] = function()
    done = done + step
    if left > 0 then schedule(step + random(3), left - 1) end
  end
end
for i = 1, 120 do schedule(i, 400) end
while queue[head] do
  local event = queue[head]
  queue[head] = nil
  head = head + 1
  event()
end

-- A binary tree that is built, searched and rebuilt.
local function insert(node, key)
  if not node then return {key = key} end
  if key < node.key then node.left = insert(node.left, key) else node.right = insert(node.right, key) end
  return node
end
local function depth(node)
  if not node then return 0 end
  return 1 + math.max(depth(node.left), depth(node.right))
end
local deepest = 0
for _ = 1, 30 do
  local tree
  for _ = 1, 2500 do tree = insert(tree, random(32768)) end
  deepest = math.max(deepest, depth(tree))
end

-- Tables as records: group, sort, join.
local groups = {}
for _, shape in ipairs(shapes) do
  local group = shape:area() % 100
  groups[group] = groups[group] or {}
  table.insert(groups[group], shape)
end
local lines = {}
for group, members in pairs(groups) do
  table.sort(members, function(a, b) return a.name < b.name end)
  local names = {}
  for i, shape in ipairs(members) do names[i] = shape.name:upper() end
  lines[#lines + 1] = group .. ": " .. table.concat(names, " ")
end
table.sort(lines)

print(#lines, #table.concat(lines, "\n"), done, deepest, counts["shape"])
