import sys
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB

parameters = LoadParm()
parameters.load(sys.argv[1])
db = SamDB(lp=parameters, session_info=system_session())

# The people.
for name in ("alice", "bob", "carol", "dave", "erin", "frank", "svc"):
    db.newuser(name, name + ".Passw0rd", mailaddress=name + "@mail.test",
               force_password_change_at_next_login_req=(name == "carol"))
db.rename("CN=frank,CN=Users,DC=ad,DC=test", "CN=Frank\\, Jr. Smith,CN=Users,DC=ad,DC=test")
db.modify_ldif("""dn: CN=dave,CN=Users,DC=ad,DC=test
changetype: modify
replace: userAccountControl
userAccountControl: 514

dn: CN=erin,CN=Users,DC=ad,DC=test
changetype: modify
replace: userPrincipalName
userPrincipalName: e.jones@mail.test

dn: CN=alice,CN=Users,DC=ad,DC=test
changetype: modify
replace: mobile
mobile: +49 151 1

dn: DC=ad,DC=test
changetype: modify
replace: lockoutThreshold
lockoutThreshold: 3

""")

for group, members in (("Level3", ["alice"]), ("Level2", ["Level3"]), ("Level1", ["Level2"]),
                       ("Everyone", ["Domain Users"]), ("Others", ["bob", "frank"])):
    db.newgroup(group)
    db.add_remove_group_members(group, members, add_members_operation=True)
