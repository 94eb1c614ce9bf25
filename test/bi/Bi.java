// What a BI tool does through PostgreSQL's JDBC driver. Arguments: URL, user, "look" or "watch", which reads a target until a line comes
// on its standard input and prints each state that it saw once.
import java.sql.*;
import java.util.*;

public class Bi {
  static void look(Connection c) throws SQLException {
    DatabaseMetaData m = c.getMetaData();
    try (ResultSet r = m.getTables(null, "dw", "%", new String[] {"TABLE", "VIEW"})) {
      while (r.next()) System.out.println("table " + r.getString("TABLE_NAME") + ": " + r.getString("REMARKS").replace("\n", " "));
    }
    try (ResultSet r = m.getColumns(null, "dw", "sales", "%")) {
      while (r.next()) System.out.println("column " + r.getString("COLUMN_NAME") + ": " + r.getString("REMARKS"));
    }
    try (Statement s = c.createStatement(); ResultSet r = s.executeQuery("SELECT id, amount FROM dw.sales ORDER BY id")) {
      while (r.next()) System.out.println("row " + r.getLong(1) + " " + r.getBigDecimal(2));
    }
    try (Statement s = c.createStatement();
         ResultSet r = s.executeQuery("SELECT target, last_success_at, age, stale FROM etl.freshness ORDER BY target")) {
      while (r.next())
        System.out.println("fresh " + r.getString(1) + " " + (r.getTimestamp(2) != null) + " " + r.getBoolean(4));
    }
    for (String t : new String[] {"raw.sales", "etl.task", "etl.pipeline", "etl.quarantine", "etl.run", "etl.audit_log"}) {
      try (Statement s = c.createStatement(); ResultSet r = s.executeQuery("SELECT count(*) FROM " + t)) {
        r.next();
        System.out.println(t + " " + r.getLong(1));
      } catch (SQLException e) {
        System.out.println(t + " " + e.getSQLState());
      }
    }
    for (String t : new String[] {"DELETE FROM dw.sales", "SELECT etl.run_pipeline('shop')", "SELECT etl.create_pipeline('x')"}) {
      try (Statement s = c.createStatement()) {
        s.execute(t);
        System.out.println(t + " was not refused");
      } catch (SQLException e) {
        System.out.println(t + " " + e.getSQLState());
      }
    }
  }

  static void watch(Connection c) throws Exception {
    Set<String> seen = new LinkedHashSet<>();
    // One statement, one snapshot: the fact and the total that belongs to it.
    String sql = "SELECT (SELECT sum(amount) FROM dw.sales), (SELECT sum(total) FROM dw.total)";
    System.out.println("ready");
    System.out.flush();
    do {
      try (Statement s = c.createStatement(); ResultSet r = s.executeQuery(sql)) {
        r.next();
        seen.add(r.getString(1) + "=" + r.getString(2));
      }
    } while (System.in.available() == 0);
    System.out.println("seen " + String.join(" ", seen));
  }

  public static void main(String[] a) throws Exception {
    try (Connection c = DriverManager.getConnection(a[0], a[1], "")) {
      if (a[2].equals("look")) look(c);
      else watch(c);
    }
  }
}
